"""Why a contact is refused or not there. `code` is public API; the message is for people."""

from typing import ClassVar
from uuid import UUID


class MessageError(Exception):
    """Anything about messages and where they go that is refused."""

    code: ClassVar[str] = "message_error"


class ContactNotFound(MessageError):
    """The owner of the account has not said where messages go."""

    code = "contact_not_found"

    def __init__(self, account_id: UUID) -> None:
        super().__init__("no e-mail address is known for this account")
        self.account_id = account_id


class InvalidContact(MessageError):
    """An address, language, time zone or country is none, or none that we can use."""

    code = "invalid_contact"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
