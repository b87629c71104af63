"""Who a mail goes to and who it is from: addresses, contacts, the server, and what can never get into a header."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from workers.messages.addresses import is_address
from workers.messages.composing import compose
from workers.messages.contacts import ContactDetails, checked_details, time_zones
from workers.messages.errors import InvalidContact
from workers.messages.mail_settings import MailSettings
from workers.messages.rendering import Rendered
from workers.settings import SettingsError

ADA = ContactDetails(email="ada@example.com", locale="en", time_zone="UTC")
FROM = "Acme <billing@acme.example>"
RENDERED = Rendered(language="en", subject="Hello", plain="plain\n", html="<p>html</p>\n")


@pytest.mark.parametrize(
    "address",
    [
        "a@b.co",
        "ada.lovelace+credits@mail.example.com",
        "o'hara@example.ie",
        "x_y-z@sub.sub.example.museum",
        "a@xn--bcher-kva.example",
        "a@example.xn--p1ai",
        "a" * 64 + "@example.com",
        "a@" + "b" * 63 + ".example",
    ],
)
def test_ordinary_addresses_are_taken(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "ada@example",
        "ada@@example.com",
        "ada@example..com",
        ".ada@example.com",
        "ada.@example.com",
        "a..b@example.com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@[127.0.0.1]",
        "ada@127.0.0.1",
        '"ada"@example.com',
        "Ada <ada@example.com>",
        "ada@example.com, eve@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\n",
        " ada@example.com",
        "ada@example.com ",
        "ada\x00@example.com",
        "адa@example.com",  # noqa: RUF001 - that is the point
        "ada@exämple.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".example",
        "a@" + "b." * 130 + "com",
        "a" * 100_000,
    ],
)
def test_what_is_not_one_plain_address_is_refused(address: str) -> None:
    assert not is_address(address)
    with pytest.raises(InvalidContact) as refused:
        checked_details(msgspec.structs.replace(ADA, email=address))
    assert refused.value.field == "email"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("en", "en"),
        ("de_at", "de-AT"),
        ("DE-at", "de-AT"),
        ("zh-tw", "zh-Hant-TW"),
        ("zh-Hans", "zh-Hans"),
        ("ja-JP", "ja-JP"),
    ],
)
def test_a_locale_of_our_languages_is_kept_in_one_form(given: str, kept: str) -> None:
    assert checked_details(msgspec.structs.replace(ADA, locale=given)).locale == kept
    assert checked_details(msgspec.structs.replace(ADA, locale=kept)).locale == kept


@pytest.mark.parametrize(
    "locale",
    ["", "pt", "pt-BR", "xx", "en-ZZZZZ", "en_US.UTF-8\n", "de@euro", "e" * 36, "../en", "en\x00", "日本語", "C"],
)
def test_other_locales_are_refused(locale: str) -> None:
    with pytest.raises(InvalidContact) as refused:
        checked_details(msgspec.structs.replace(ADA, locale=locale))

    assert refused.value.field == "locale"


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "Pacific/Chatham"]
)
def test_names_of_time_zones_are_taken(zone: str) -> None:
    assert checked_details(msgspec.structs.replace(ADA, time_zone=zone)).time_zone == zone


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "utc+1",
        "Europe/Atlantis",
        "../etc/passwd",
        "/etc/localtime",
        "localtime",
        "Factory",
        "europe/berlin",
        "UTC\n",
    ],
)
def test_other_names_are_no_time_zones(zone: str) -> None:
    with pytest.raises(InvalidContact) as refused:
        checked_details(msgspec.structs.replace(ADA, time_zone=zone))

    assert refused.value.field == "time_zone"


def test_every_time_zone_that_is_taken_can_be_used() -> None:
    assert len(time_zones()) > 500
    for zone in time_zones():
        assert datetime(2026, 7, 1, tzinfo=ZoneInfo(zone)).utcoffset() is not None


@pytest.mark.parametrize(
    ("country", "is_taken"),
    [
        (None, True),
        ("DE", True),
        ("JP", True),
        ("de", False),
        ("ZZ", False),
        ("EU", False),
        ("1A", False),
        ("150", False),
    ],
)
def test_a_country_is_a_country_or_not_said(country: str | None, is_taken: bool) -> None:
    details = msgspec.structs.replace(ADA, country=country)
    if is_taken:
        assert checked_details(details).country == country
        return
    with pytest.raises(InvalidContact):
        checked_details(details)


def settings(url: str, sender: str = FROM) -> MailSettings | None:
    return MailSettings.from_environment({"SMTP_URL": url, "HOLDFAST_MAIL_FROM": sender})


@pytest.mark.parametrize(
    ("url", "encryption", "port"),
    [
        ("smtp://mail.example", "starttls", 587),
        ("smtp://mail.example:25?starttls=1", "starttls", 25),
        ("smtp://mail.example?starttls=0", "none", 587),
        ("smtps://u:p@mail.example", "from the start", 465),
        ("smtp://u:p@mail.example", "starttls", 587),
        ("smtp://127.0.0.1:1025", "none", 1025),
        ("smtp://[::1]:1025", "none", 1025),
        ("smtp://u:p@localhost:1025", "none", 1025),
        ("smtp://localhost:1025?starttls=1", "starttls", 1025),
        ("smtp://localhost.example:1025", "starttls", 1025),
    ],
)
def test_mail_is_encrypted_unless_somebody_says_otherwise(url: str, encryption: str, port: int) -> None:
    found = settings(url)

    assert found is not None
    assert (found.encryption, found.port) == (encryption, port)


def test_without_a_server_there_are_no_settings() -> None:
    assert MailSettings.from_environment({"HOLDFAST_MAIL_FROM": FROM}) is None
    assert settings("  ") is None


def test_user_and_password_are_decoded_and_never_shown() -> None:
    found = settings("smtps://me%40acme:p%2Fw%3Ad@mail.example")

    assert found is not None
    assert (found.user, found.password) == ("me@acme", "p/w:d")
    assert "p/w" not in repr(found) + str(found)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://mail.example:99999",
        "smtp://mail.example/path",
        "smtp://mail.example?starttls=maybe",
        "smtp://mail.example?timeout=5",
        "smtp://u:secret@mail.example?starttls=0",
        "smtp://[u:secret@mail.example",
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_telling_its_secret(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(url)

    assert "SMTP_URL" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("sender", ["", "Acme", "billing@localhost", "Acme <billing@acme.example\r\nBcc: x@y.example>"])
def test_a_server_without_a_sender_is_refused(sender: str) -> None:
    with pytest.raises(SettingsError, match="HOLDFAST_MAIL_FROM"):
        settings("smtps://mail.example", sender)


def mail(rendered: Rendered = RENDERED, *, recipient: str = "ada@example.com", key: str = "k") -> EmailMessage:
    return compose(
        rendered,
        sender=Address("Käse & Söhne", addr_spec="billing@acme.example"),
        recipient=recipient,
        account_id=UUID(int=7),
        key=key,
        written_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


def test_a_mail_is_the_same_however_often_it_is_composed() -> None:
    assert mail().as_bytes() == mail().as_bytes()
    assert mail()["Message-ID"] != mail(key="other")["Message-ID"]
    assert mail()["Message-ID"].endswith("@acme.example>")


def test_a_mail_is_seven_bits_wide_with_short_lines_whatever_it_says() -> None:
    text = "日本語 Übergröße " * 200
    raw = mail(Rendered(language="ja", subject=text[:150], plain=text, html=f"<p>{text}</p>")).as_bytes()

    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_no_recipient_can_bring_headers_with_it() -> None:
    with pytest.raises(ValueError, match=r"invalid|Invalid|linefeed|contain"):
        mail(recipient="ada@example.com\r\nBcc: eve@example.com")


def test_no_subject_can_bring_headers_with_it() -> None:
    with pytest.raises(ValueError, match="linefeed"):
        mail(Rendered(language="en", subject="Hi\r\nBcc: eve@example.com", plain="p", html="h"))
