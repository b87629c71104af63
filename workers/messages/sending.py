"""Sending what waits, at least once: a message that was perhaps taken by the mail server goes again, recognisably."""

import random
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, Self
from uuid import UUID

import msgspec
import structlog
from psycopg import AsyncConnection

from ledger.batch import Statement
from ledger.database import Database
from workers.context import GenerationContext
from workers.messages.composing import compose
from workers.messages.formats import one_line
from workers.messages.kinds import MessageKind
from workers.messages.mail_settings import MailSettings
from workers.messages.outbox import sql
from workers.messages.rendering import UnreadableValues, render
from workers.messages.smtp import MAIL_TIMEOUT_S, Delivery, MailNotSent, MailRefused, MailServerAway

INTERVAL_S: Final = 2.0
BATCH: Final = 20
ROUND_S: Final = 240.0
"""After so long, what is left of a batch is left to the next one."""

LEASE_S: Final = ROUND_S + 2 * MAIL_TIMEOUT_S

FIRST_PAUSE_S: Final = 30.0
LONGEST_PAUSE_S: Final = 4 * 3_600.0
MAX_TRIES: Final = 30
"""With these pauses a message is tried for three to four days, as mail servers do themselves."""

MAX_ERROR_CHARACTERS: Final = 300

_log = structlog.stdlib.get_logger(__name__)


class MessageState(IntEnum):
    """What became of a message, by the number it is stored under. Only the first one changes."""

    waiting = 0
    sent = 1
    skipped = 2
    """There is no address, or no mail server."""
    given_up = 3


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is ours to send, for a while."""

    account_id: UUID
    key: str
    kind: str
    values: Mapping[str, Any]
    created_at: datetime
    tries: int
    email: str | None
    locale: str | None
    time_zone: str | None

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """Read a row of `claim_due_messages.sql`."""
        return cls(**dict(zip(cls.__struct_fields__, row, strict=True)))

    def settled(self, state: MessageState, error: str | None = None) -> Statement:
        """Return the statement that ends it."""
        return sql.SETTLE_MESSAGE, {**self._identity(), "state": int(state), "error": error}

    def postponed(self, error: str | None, *, pause_s: float) -> Statement:
        """Return the statement that has it tried again."""
        return sql.POSTPONE_MESSAGE, {**self._identity(), "pause": f"{pause_s:.3f} s", "error": error}

    def failed(self, error: str) -> Statement:
        """Return the statement that has it tried again later, each time after a longer pause, or gives it up."""
        if self.tries >= MAX_TRIES:
            return self.settled(MessageState.given_up, error)
        longest = min(FIRST_PAUSE_S * 2.0 ** (self.tries - 1), LONGEST_PAUSE_S)
        return self.postponed(error, pause_s=longest * random.uniform(0.75, 1.0))  # noqa: S311 - spreads, hides nothing

    def told(self, error: Exception) -> str:
        """Return what an error says, without whom it says it of: servers like to repeat the address."""
        text = str(error)
        if self.email is not None:
            text = re.sub(re.escape(self.email), "(address)", text, flags=re.IGNORECASE)
        return one_line(text, at_most=MAX_ERROR_CHARACTERS)

    def _identity(self) -> dict[str, object]:
        return {"account_id": self.account_id, "key": self.key, "tries": self.tries}


class MessageSender:
    """What the clock runs to send messages."""

    def __init__(self, environment: Mapping[str, str], *, tls: ssl.SSLContext | None = None) -> None:
        """Read where mail goes.

        Raises:
            SettingsError: `SMTP_URL` or `HOLDFAST_MAIL_FROM` makes no sense.
        """
        self._settings = MailSettings.from_environment(environment)
        self._tls = tls

    async def send_messages(self, context: GenerationContext) -> int:
        """Send messages that are due, and return how many were taken up."""
        return await self.run(context.database)

    async def run(self, database: Database) -> int:
        """Send messages that are due, and return how many were taken up; `BATCH` at most.

        Several processes may do so at once. Messages that one of them took and did not settle come up again after
        `LEASE_S`.
        """
        claims = await _claim(database)
        if not claims:
            return 0
        if self._settings is None:
            await _execute(database, [claim.settled(MessageState.skipped) for claim in claims])
            return len(claims)
        began = time.monotonic()
        async with Delivery(self._settings, tls=self._tls) as delivery:
            for place, claim in enumerate(claims):
                if time.monotonic() - began > ROUND_S:
                    await _execute(database, [left.postponed(None, pause_s=0) for left in claims[place:]])
                    break
                try:
                    result = await self._send(delivery, claim, self._settings)
                except MailServerAway as error:
                    _log.warning("mail_server_away", error=claim.told(error))
                    await _execute(database, [left.failed(claim.told(error)) for left in claims[place:]])
                    break
                await _execute(database, [result])
        return len(claims)

    async def _send(self, delivery: Delivery, claim: Claim, settings: MailSettings) -> Statement:
        if claim.email is None or claim.locale is None or claim.time_zone is None:
            return claim.settled(MessageState.skipped)
        names = {"account_id": str(claim.account_id), "key": claim.key, "kind": claim.kind, "tries": claim.tries}
        try:
            rendered = render(MessageKind(claim.kind), claim.values, locale=claim.locale, time_zone=claim.time_zone)
            mail = compose(
                rendered,
                sender=settings.sender,
                recipient=claim.email,
                account_id=claim.account_id,
                key=claim.key,
                written_at=claim.created_at,
            )
            await delivery.send(mail, recipient=claim.email)
        except (UnreadableValues, ValueError) as error:
            _log.error("message_unwritable", **names, error=claim.told(error))
            return claim.settled(MessageState.given_up, claim.told(error))
        except MailRefused as error:
            _log.warning("message_refused", **names, error=claim.told(error))
            return claim.settled(MessageState.given_up, claim.told(error))
        except MailServerAway:
            raise
        except MailNotSent as error:
            _log.warning("message_not_sent", **names, error=claim.told(error))
            return claim.failed(claim.told(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the messages behind it go out, and somebody sees why
            _log.error("message_not_sent", **names, error=claim.told(error), exc_info=True)
            return claim.failed(claim.told(error))
        _log.info("message_sent", **names)
        return claim.settled(MessageState.sent)


async def _claim(database: Database) -> list[Claim]:
    parameters = {"limit": BATCH, "lease": f"{LEASE_S} s"}
    async with database.autocommit() as connection:
        rows = await (await connection.execute(sql.CLAIM_DUE_MESSAGES, parameters)).fetchall()
    return [Claim.of_row(row) for row in rows]


async def _execute(database: Database, statements: Sequence[Statement]) -> None:
    async with database.connection() as connection:
        await _run_all(connection, statements)


async def _run_all(connection: AsyncConnection[Any], statements: Sequence[Statement]) -> None:
    for statement, parameters in statements:
        await connection.execute(statement, parameters)
