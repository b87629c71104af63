"""How Stripe takes parameters: `a[b][0]=c`, in bodies and queries; and how it says no."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

Form = dict[str, Any]


class StripeRefusal(Exception):
    """An answer with an error in Stripe's shape. `kept` says whether it is kept under the idempotency key."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        kept: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        given = {
            "code": code,
            "doc_url": f"https://stripe.com/docs/error-codes/{code}" if code else None,
            "param": param,
        }
        self.body = {
            "error": {
                **{name: value for name, value in given.items() if value is not None},
                "message": message,
                "type": kind,
                **more,
            }
        }


def missing_object(what: str, object_id: str, *, param: str = "id") -> StripeRefusal:
    """No such object: 404 where the path names it, 400 where a parameter does."""
    status = 404 if param == "id" else 400
    return StripeRefusal(f"No such {what}: '{object_id}'", status=status, code="resource_missing", param=param)


def parsed(encoded: str) -> Form:
    """Parameters as nested dictionaries and lists of strings."""
    form: Form = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        at = form
        *inner, last = name.replace("]", "").split("[")
        for part in inner:
            at = at.setdefault(part, {})
        at[last] = value
    return {name: _with_lists(value) for name, value in form.items()}


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    members: dict[str, Any] = {str(name): _with_lists(inner) for name, inner in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - what was just parsed
    if members and all(name.isdigit() for name in members):
        return [members[name] for name in sorted(members, key=int)]
    return members


def check(form: Form, *, allowed: Collection[str], required: Collection[str] = ()) -> None:
    """Refuse parameters that there are not, and the lack of those that there must be."""
    for name in form:
        if name not in allowed and name != "expand":
            message = f"Received unknown parameter: {name}"
            raise StripeRefusal(message, code="parameter_unknown", param=name)
    for name in required:
        if name not in form:
            raise StripeRefusal(f"Missing required param: {name}.", code="parameter_missing", param=name)


def whole(form: Mapping[str, Any], name: str) -> int:
    """A parameter that is a whole number."""
    try:
        return int(form[name])
    except (TypeError, ValueError) as error:
        raise StripeRefusal(f"Invalid integer: {form[name]}", code="parameter_invalid_integer", param=name) from error


def switch(form: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A parameter that is true or false."""
    value = form.get(name, default)
    if value not in ("true", "false", True, False):
        raise StripeRefusal(f"Invalid boolean: {value}", param=name)
    return value in ("true", True)


def check_amount(amount: int, currency: str) -> int:
    """Refuse amounts that Stripe does not take in that currency."""
    if currency != currency.lower() or len(currency) != 3:
        raise StripeRefusal(f"Invalid currency: {currency}", param="currency")
    if amount <= 0:
        raise StripeRefusal("This value must be greater than or equal to 1.", param="amount")
    if currency in ("isk", "ugx") and amount % 100:
        message = f"Invalid amount. Currency {currency.upper()} has become effectively zero-decimal"
        raise StripeRefusal(message, code="invalid_charge_amount_no_decimal_compatible", param="amount")
    if currency in ("bhd", "jod", "kwd", "omr", "tnd") and amount % 10:
        raise StripeRefusal("Invalid amount. The last digit must be 0", code="invalid_charge_amount", param="amount")
    return amount
