"""Which server takes our mail, and whom it is from: `SMTP_URL` and `HOLDFAST_MAIL_FROM`."""

from collections.abc import Mapping
from email.headerregistry import Address
from email.utils import parseaddr
from ipaddress import ip_address
from typing import Final, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from workers.messages.addresses import is_address
from workers.messages.formats import one_line
from workers.settings import SettingsError

SUBMISSION_PORT: Final = 587
SUBMISSIONS_PORT: Final = 465
MAX_NAME_CHARACTERS: Final = 100

Encryption = Literal["from the start", "starttls", "none"]


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A server that takes mail from us. Its password is never shown."""

    host: str
    port: int
    encryption: Encryption
    sender: Address
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"MailSettings({self.host}:{self.port}, encryption {self.encryption}, from {self.sender.addr_spec})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Read the settings; `None` without an `SMTP_URL`, when no mail is sent.

        `smtp://user:password@host:587` begins in the clear and goes on encrypted (STARTTLS) or not at all, unless it
        ends in `?starttls=0` or the server is this machine; `smtps://` is encrypted from the start.

        Raises:
            SettingsError: they make no sense, or would send a password in the clear.
        """
        url = environment.get("SMTP_URL", "").strip()
        if not url:
            return None
        sender = _sender(environment.get("HOLDFAST_MAIL_FROM", "").strip())
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise SettingsError("SMTP_URL cannot be read") from None
        if parts.scheme not in ("smtp", "smtps") or not host or parts.path.strip("/"):
            raise SettingsError("SMTP_URL must be like smtp://user:password@host:587 or smtps://user:password@host")
        encryption = _encryption(parts.scheme, parts.query, is_near=_is_near(host))
        if parts.password is not None and encryption == "none" and not _is_near(host):
            raise SettingsError("SMTP_URL would send its password in the clear")
        return cls(
            host=host,
            port=port or (SUBMISSIONS_PORT if parts.scheme == "smtps" else SUBMISSION_PORT),
            encryption=encryption,
            sender=sender,
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )


def _encryption(scheme: str, query: str, *, is_near: bool) -> Encryption:
    asked = parse_qs(query, keep_blank_values=True)
    if asked.keys() - {"starttls"} or asked.get("starttls", ["1"]) not in (["0"], ["1"]):
        raise SettingsError("SMTP_URL may end in ?starttls=1 or ?starttls=0 and in nothing else")
    if scheme == "smtps":
        return "from the start"
    return "starttls" if asked.get("starttls", ["0" if is_near else "1"]) == ["1"] else "none"


def _is_near(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sender(text: str) -> Address:
    name, address = parseaddr(text)
    if not text.isprintable() or not is_address(address):
        raise SettingsError("HOLDFAST_MAIL_FROM must be like Acme <billing@acme.example>, for SMTP_URL is set")
    return Address(display_name=one_line(name, at_most=MAX_NAME_CHARACTERS), addr_spec=address)
