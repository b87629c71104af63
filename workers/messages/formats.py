"""Values as a reader's locale writes them: amounts of money, credits, dates in the reader's time zone."""

import copy
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from babel import Locale
from babel.dates import format_date, format_interval, format_time, get_datetime_format, get_timezone_gmt
from babel.numbers import format_decimal

from workers.messages.kinds import VALUES, MessageKind, ValueForm
from workers.payments.money import places

MAX_SHOWN_CHARACTERS: Final = 200
MAX_LINK_CHARACTERS: Final = 2_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TURNS_TEXT_AROUND: Final = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])
_LETTER_BEFORE_DIGIT: Final = re.compile(r"(?<=[^\W\d_])(?=\d)")
"""Where a currency without a sign has its code before the number; Babel knows nothing of the space between."""

_GATEWAYS: Final = {"stripe": "Stripe", "yookassa": "YooKassa", "paddle": "Paddle", "paypal": "PayPal"}


class Reader(msgspec.Struct, frozen=True):
    """How somebody reads numbers and times."""

    locale: Locale
    time_zone: ZoneInfo


def shown_values(kind: MessageKind, values: Mapping[str, Any], reader: Reader) -> dict[str, str]:
    """Return the values of a message as its reader sees them, by the names of their places.

    What is empty and not needed is left out, and so is an unsafe link.

    Raises:
        ValueError, ArithmeticError, KeyError, TypeError: a value is none of its form.
    """
    forms, needed = VALUES[kind].forms, VALUES[kind].needed
    shown = {
        name.removesuffix("_us"): text
        for name, value in values.items()
        if name in forms and ((text := _SHOW[forms[name]](value, reader)) or name in needed)
    }
    if "gateway" in shown:
        shown["gateway"] = _GATEWAYS.get(shown["gateway"], shown["gateway"])
    if "period_begins_us" in values and "period_ends_us" in values:
        begins, ends = (_moment(values[name], reader) for name in ("period_begins_us", "period_ends_us"))
        shown["period"] = format_interval(begins.date(), ends.date(), "yMMMd", locale=reader.locale)
    return shown


def show_money(minor: int, currency: str, locale: Locale) -> str:
    """Write an amount of money with the places that the currency is paid in, whatever the locale would round it to."""
    count = places(currency)
    pattern = copy.copy(locale.currency_formats["standard"])
    pattern.frac_prec = (count, count)
    amount = Decimal(minor).scaleb(-count)
    return _LETTER_BEFORE_DIGIT.sub("\u00a0", pattern.apply(amount, locale, currency=currency, currency_digits=False))


def show_credits(amount: str, locale: Locale) -> str:
    """Write credits with all the places that they have."""
    return format_decimal(Decimal(amount), locale=locale, decimal_quantization=False)


def grammatical_count(value: str | int, locale: Locale) -> int:
    """Return a whole number that has the plural of this one: catalogues know the plurals of whole numbers only."""
    number = abs(Decimal(value))
    if number == number.to_integral_value():
        return int(number)
    return 1 if locale.plural_form(number) == "one" else 2


def one_line(text: str, *, at_most: int = MAX_SHOWN_CHARACTERS) -> str:
    """Return a text on one line, without what would end it, hide in it, or turn around what follows."""
    calm = "".join(" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs") else letter for letter in text)
    words = " ".join(calm.translate(_TURNS_TEXT_AROUND).split())
    return words if len(words) <= at_most else words[: at_most - 1] + "…"


def _show_time(time_us: int, reader: Reader) -> str:
    moment = _moment(time_us, reader)
    day, hour = format_date(moment.date(), "long", reader.locale), format_time(moment, "short", locale=reader.locale)
    both = str(get_datetime_format("medium", locale=reader.locale)).replace("'", "")
    offset = get_timezone_gmt(moment, locale=reader.locale)
    return f"{both.replace('{1}', day).replace('{0}', hour)} ({offset})"


def _show_date(time_us: int, reader: Reader) -> str:
    return format_date(_moment(time_us, reader).date(), "long", reader.locale)


def _moment(time_us: int, reader: Reader) -> datetime:
    return (_EPOCH + timedelta(microseconds=time_us)).astimezone(reader.time_zone)


def _safe_link(link: str) -> str:
    is_plain = link.isascii() and link.isprintable() and " " not in link and len(link) <= MAX_LINK_CHARACTERS
    return link if is_plain and urlsplit(link).scheme in ("https", "http") else ""


_SHOW: Final[Mapping[ValueForm, Callable[[Any, Reader], str]]] = {
    ValueForm.money: lambda value, reader: show_money(value["minor"], value["currency"], reader.locale),
    ValueForm.credits: lambda value, reader: show_credits(value, reader.locale),
    ValueForm.time: _show_time,
    ValueForm.date: _show_date,
    ValueForm.number: lambda value, reader: format_decimal(value, locale=reader.locale),
    ValueForm.link: lambda value, _: _safe_link(value),
    ValueForm.text: lambda value, _: one_line(value),
}
