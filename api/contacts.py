"""Where messages to the owner of an account go, in which language and time zone. Personal data, which can be erased."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import delete, get, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api.accounts import account_answer
from api.answers import Answer
from api.fields import NO_NUL
from api.ownership import own_account
from api.principal import MOVERS, READERS, USERS
from api.requests import ApiRequest
from workers.messages.addresses import MAX_ADDRESS_CHARACTERS
from workers.messages.contacts import Contact, ContactDetails, forget_contact, read_contact, set_contact
from workers.messages.languages import LANGUAGES, MAX_LOCALE_CHARACTERS

Email: TypeAlias = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=MAX_ADDRESS_CHARACTERS,
        pattern=NO_NUL,
        description="In ASCII; an international domain in its xn-- form.",
        extra_json_schema={"examples": ["ada@example.com"]},
    ),
]
LocaleName: TypeAlias = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=MAX_LOCALE_CHARACTERS,
        pattern=NO_NUL,
        description=f"A language ({', '.join(LANGUAGES)}) or a regional variant of one, such as de-AT.",
        extra_json_schema={"examples": ["en", "de-AT"]},
    ),
]
TimeZoneName: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=NO_NUL,
        description="A name of the IANA's list. It also says when the account's day begins.",
        extra_json_schema={"examples": ["Europe/Berlin", "UTC"]},
    ),
]
Country: TypeAlias = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=2,
        pattern=NO_NUL,
        description="ISO 3166-1 alpha-2, in capitals.",
        extra_json_schema={"examples": ["DE"]},
    ),
]


class ContactRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A contact to keep, in place of the one that there is."""

    email: Email
    locale: LocaleName
    time_zone: TimeZoneName
    country: Country | None = None


class ContactAnswer(Struct, frozen=True, kw_only=True):
    """A contact as it is kept."""

    email: str
    locale: str
    time_zone: str
    country: str | None
    updated_at: datetime


@get("/v1/me/contact", opt={"roles": USERS, "problems": (404,)})
async def read_own(request: ApiRequest) -> Answer[ContactAnswer]:
    """Return where messages to the caller go."""
    contact = await read_contact(request.services.database, own_account(request.principal))
    return Answer(contact_answer(contact))


@put("/v1/me/contact", opt={"roles": USERS})
async def change_own(data: JSONBody[ContactRequest], request: ApiRequest) -> Answer[ContactAnswer]:
    """Say where messages to the caller go."""
    account_id = own_account(request.principal)
    return Answer(contact_answer(await set_contact(request.services.database, account_id, details_of(data))))


@delete("/v1/me/contact", opt={"roles": USERS})
async def forget_own(request: ApiRequest) -> None:
    """Forget where messages to the caller go; none are sent from now on."""
    await forget_contact(request.services.database, own_account(request.principal))


@get("/v1/accounts/{account_id:uuid}/contact", opt={"roles": READERS})
async def read(account_id: FromPath[UUID], request: ApiRequest) -> Answer[ContactAnswer]:
    """Return where messages to the owner of an account go."""
    return Answer(contact_answer(await read_contact(request.services.database, account_id)))


@put("/v1/accounts/{account_id:uuid}/contact", opt={"roles": MOVERS})
async def change(
    account_id: FromPath[UUID], data: JSONBody[ContactRequest], request: ApiRequest
) -> Answer[ContactAnswer]:
    """Say where messages to the owner of an account go."""
    return Answer(contact_answer(await set_contact(request.services.database, account_id, details_of(data))))


@delete("/v1/accounts/{account_id:uuid}/contact", opt={"roles": MOVERS})
async def forget(account_id: FromPath[UUID], request: ApiRequest) -> None:
    """Forget where messages to the owner of an account go; none are sent from now on."""
    await account_answer(request.services, account_id)
    await forget_contact(request.services.database, account_id)


def details_of(data: ContactRequest) -> ContactDetails:
    """Return the contact that a request gives."""
    return ContactDetails(email=data.email, locale=data.locale, time_zone=data.time_zone, country=data.country)


def contact_answer(contact: Contact) -> ContactAnswer:
    """Show a contact."""
    return ContactAnswer(
        email=contact.email,
        locale=contact.locale,
        time_zone=contact.time_zone,
        country=contact.country,
        updated_at=contact.updated_at,
    )
