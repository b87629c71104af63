"""Where the owner of an account gets messages, in which language, and in which time zone their day begins."""

import functools
from datetime import datetime
from importlib.resources import files
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from babel import Locale
from psycopg import AsyncConnection

from ledger.database import Database
from ledger.errors import AccountNotFound
from workers.messages.addresses import is_address
from workers.messages.errors import ContactNotFound, InvalidContact
from workers.messages.languages import LANGUAGES, parse_locale
from workers.messages.outbox import sql

_NO_COUNTRIES: Final = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})
_NO_TIME_ZONES: Final = frozenset({"Factory"})


class ContactDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A contact, as its owner gives it."""

    email: str
    locale: str
    time_zone: str
    country: str | None = None


class Contact(ContactDetails, frozen=True, kw_only=True):
    """A contact, as it is kept: the locale is written as BCP 47 has it."""

    updated_at: datetime


async def read_contact(database: Database, account_id: UUID) -> Contact:
    """Return the contact of an account.

    Raises:
        ContactNotFound: there is none; perhaps no such account either.
    """
    async with database.autocommit() as connection:
        contact = await find_contact(connection, account_id)
    if contact is None:
        raise ContactNotFound(account_id)
    return contact


async def find_contact(connection: AsyncConnection[Any], account_id: UUID) -> Contact | None:
    """Return the contact of an account, if there is one."""
    row = await (await connection.execute(sql.READ_CONTACT, {"account_id": account_id})).fetchone()
    if row is None:
        return None
    email, locale, time_zone, country, updated_at = row
    return Contact(email=email, locale=locale, time_zone=time_zone, country=country, updated_at=updated_at)


async def set_contact(database: Database, account_id: UUID, details: ContactDetails) -> Contact:
    """Keep the contact of an account, in place of the one it had.

    Raises:
        InvalidContact: we could not write there, or not so.
        AccountNotFound: there is no such account.
    """
    checked = checked_details(details)
    parameters = {"account_id": account_id, **msgspec.structs.asdict(checked)}
    try:
        async with database.autocommit() as connection:
            row = await (await connection.execute(sql.UPSERT_CONTACT, parameters)).fetchone()
    except psycopg.errors.ForeignKeyViolation:
        raise AccountNotFound(account_id) from None
    assert row is not None, "what was written has a time"
    return Contact(**msgspec.structs.asdict(checked), updated_at=row[0])


async def forget_contact(database: Database, account_id: UUID) -> None:
    """Forget the contact of an account; there may be none. Its messages are skipped from now on."""
    async with database.autocommit() as connection:
        await connection.execute(sql.DELETE_CONTACT, {"account_id": account_id})


def checked_details(details: ContactDetails) -> ContactDetails:
    """Return a contact in the form in which it is kept.

    Raises:
        InvalidContact: a part of it is not what it should be.
    """
    if not is_address(details.email):
        raise InvalidContact("email", "is not an e-mail address that we can write to")
    if details.time_zone not in time_zones():
        raise InvalidContact("time_zone", "is not the name of a time zone, such as Europe/Berlin")
    if details.country is not None and details.country not in _countries():
        raise InvalidContact("country", "is not the code of a country, such as DE")
    return msgspec.structs.replace(details, locale=_known_locale(details.locale))


@functools.cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones, the same on every machine: those of the IANA's list."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="ascii").split()) - _NO_TIME_ZONES


def _known_locale(text: str) -> str:
    try:
        locale = parse_locale(text)
    except ValueError:
        raise InvalidContact("locale", "is not a locale, such as de or de-AT") from None
    if locale.language not in LANGUAGES:
        raise InvalidContact("locale", f"is of none of the languages {', '.join(LANGUAGES)}")
    return str(locale).replace("_", "-")


@functools.cache
def _countries() -> frozenset[str]:
    codes = (str(code) for code in Locale("en").territories)
    return frozenset(code for code in codes if len(code) == 2 and code.isalpha()) - _NO_COUNTRIES
