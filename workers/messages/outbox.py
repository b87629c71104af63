"""Messages that wait to be sent: written with what they tell of, in one transaction, and once."""

from collections.abc import Mapping
from typing import Any, Final, cast
from uuid import UUID

import msgspec

from ledger import statements
from ledger.batch import Statement
from workers.messages.kinds import VALUES, MessageKind, ValueForm

sql: Final = statements.load("workers.messages")

MAX_KEY_CHARACTERS: Final = 200
MAX_TEXT_CHARACTERS: Final = 1_000


def queue_message(account_id: UUID, kind: MessageKind, *, key: str, values: Mapping[str, object]) -> Statement:
    """Return the statement that has a message sent to the owner of an account; a rider, or to be run by itself.

    A second message under the same key of the account is the first one again: nothing is written. `values` are those
    of `workers.messages.kinds.VALUES`, ready to be JSON; one that is `None` counts as missing.
    """
    assert 0 < len(key) <= MAX_KEY_CHARACTERS, key
    given = {name: _storable(value) for name, value in values.items() if value is not None}
    _check(kind, given)
    parameters: dict[str, object] = {
        "account_id": account_id,
        "key": key,
        "kind": kind.value,
        "values": msgspec.json.encode(given).decode(),
    }
    return sql.INSERT_MESSAGE, parameters


def _check(kind: MessageKind, given: Mapping[str, object]) -> None:
    """Make sure that the values are those of the kind. Only a bug gets names and types wrong."""
    expected = VALUES[kind]
    missing = expected.needed.keys() - given.keys()
    assert not missing, f"a {kind} needs {sorted(missing)}"
    unknown = given.keys() - expected.forms.keys()
    assert not unknown, f"a {kind} has no {sorted(unknown)}"
    for name, value in given.items():
        form = expected.forms[name]
        assert _has_form(value, form), f"{name} of a {kind} is no {form}"


def _storable(value: object) -> object:
    # What somebody called a product must not keep the payment for it from being recorded.
    if not isinstance(value, str):
        return value
    return value[:MAX_TEXT_CHARACTERS].replace("\x00", "").encode(errors="replace").decode()


def _has_form(value: object, form: ValueForm) -> bool:
    if form is ValueForm.money:
        money = cast("Mapping[str, Any]", value if isinstance(value, Mapping) else {})
        return type(money.get("minor")) is int and isinstance(money.get("currency"), str) and len(money) == 2
    if form in (ValueForm.time, ValueForm.date, ValueForm.number):
        return type(value) is int
    return isinstance(value, str)
