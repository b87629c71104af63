"""Handing mail to a server, within a time, and finding out what became of it."""

import asyncio
import contextlib
import ssl
from email.message import EmailMessage
from typing import Final, Self

import aiosmtplib

from workers.messages.mail_settings import MailSettings

STEP_TIMEOUT_S: Final = 20.0
"""For each answer of the server."""

MAIL_TIMEOUT_S: Final = 60.0
"""For all that one mail takes, connecting included."""


class MailNotSent(Exception):
    """The server did not take a mail, or did not say so; perhaps it does the next time. The message holds no secret."""


class MailServerAway(MailNotSent):
    """The server cannot be reached, or does not want anything from us at the moment."""


class MailRefused(Exception):
    """The server will never take this mail."""


class Delivery:
    """A connection to the mail server, opened with the first mail and again where it was lost."""

    def __init__(self, settings: MailSettings, *, tls: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._tls = tls
        self._client: aiosmtplib.SMTP | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await client.quit(timeout=1.0)
        finally:
            client.close()

    async def send(self, mail: EmailMessage, *, recipient: str) -> None:
        """Hand over one mail.

        Raises:
            MailRefused: the server says that it never takes mail for this recipient, or this mail.
            MailServerAway: there is no server that wants anything from us.
            MailNotSent: it was not taken, or perhaps it was.
        """
        try:
            async with asyncio.timeout(MAIL_TIMEOUT_S):
                client = await self._connected()
                await self._hand_over(client, mail, recipient)
        except TimeoutError:
            self._drop()
            raise MailNotSent(f"the server took more than {MAIL_TIMEOUT_S:g} s") from None
        except BaseException:
            if self._client is not None and not self._client.is_connected:
                self._drop()
            raise

    async def _hand_over(self, client: aiosmtplib.SMTP, mail: EmailMessage, recipient: str) -> None:
        sender = self._settings.sender.addr_spec
        try:
            await client.send_message(mail, sender=sender, recipients=[recipient])
        except aiosmtplib.SMTPRecipientsRefused as error:
            _refuse_or_retry(error.recipients[0].code, error.recipients[0].message, error)
        except aiosmtplib.SMTPDataError as error:
            _refuse_or_retry(error.code, error.message, error)
        except aiosmtplib.SMTPSenderRefused as error:
            # Of us, not of this mail: somebody has to set it right, and then all mail goes out.
            raise MailServerAway(f"the sender was refused: {error.code} {error.message}") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            self._drop()
            raise MailNotSent(f"{type(error).__name__}: {error}") from error

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.user,
            password=settings.password,
            local_hostname=settings.sender.domain,
            timeout=STEP_TIMEOUT_S,
            use_tls=settings.encryption == "from the start",
            start_tls=settings.encryption == "starttls",
            tls_context=self._tls,
        )
        self._client = client
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            self._drop()
            raise MailServerAway(_why(error)) from None
        except BaseException:
            self._drop()
            raise
        return client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _refuse_or_retry(code: int, message: str, error: Exception) -> None:
    if 500 <= code < 600:
        raise MailRefused(f"{code} {message}") from error
    raise MailNotSent(f"{code} {message}") from error


def _why(error: Exception) -> str:
    """Tell why there is no connection. Of a failed login only the code: servers repeat what they were sent."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return f"the login was refused: {error.code}"
    return f"{type(error).__name__}: {error}"
