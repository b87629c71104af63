"""Running one claimed generation from its first call to its `end`.

The order at the end is fixed: the stream has all the text, then ledger and terminal row commit together, then `end` is
appended. Whatever stops in between is found by its lease, and nothing is paid or streamed twice.
"""

import contextlib
import time
from typing import Final
from uuid import UUID

import msgspec
import structlog
from redis.asyncio import Redis

from ledger.batch import Statement
from ledger.database import Database
from ledger.writer import LedgerWriter
from workers.answering import Answerer, Attempt
from workers.cancels import lost_content
from workers.catalogue import Catalogue
from workers.claims import Claim, claim_generation, release_generation
from workers.finishing import Finish, finish_generation, guard_attempt
from workers.generations import Figures, GenerationStatus
from workers.leases import Lease, LeaseKeeper
from workers.logs import bind_request
from workers.media.errors import MediaError
from workers.modes import MODES
from workers.providers import ProviderNotConfigured
from workers.queue import GenerationQueue, WakeUp
from workers.sessions import append_answer
from workers.settlement import Ending
from workers.streams.code_blocks import CODE_KIND
from workers.streams.content import NOTHING, Content
from workers.streams.errors import StreamFenced
from workers.streams.generation_stream import GenerationStream
from workers.streams.terminal import Failure
from workers.streams.wire import ARTIFACT_KIND
from workers.streams.writer import StreamWriter

RUN_LIMIT_S: Final = 900.0
"""The longest that one attempt may take; an attempt near the generation's deadline gets what is left of it."""

INTERNAL_ERROR: Final = Failure(code="internal_error", message="Something went wrong on our side. Nothing is charged.")
INPUT_GONE: Final = Failure(
    code="input_unavailable", message="A file that this needs is not there any more. Nothing is charged."
)
MODEL_UNAVAILABLE: Final = Failure(
    code="model_unavailable", message="This model is not available any more. Nothing is charged."
)

_log = structlog.stdlib.get_logger(__name__)


class Runner(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process runs generations with."""

    database: Database
    writer: LedgerWriter
    streams: StreamWriter
    answerer: Answerer
    catalogue: Catalogue
    leases: LeaseKeeper
    redis: Redis
    queue: GenerationQueue
    owner: UUID

    async def run(self, generation_id: UUID, *, account_id: UUID) -> None:
        """Claim one generation out of turn, run it and settle it; one that is claimed or has ended is left alone."""
        claim = await claim_generation(self.database, generation_id, account_id=account_id, owner=self.owner)
        if claim is None:
            _log.debug("generation_not_claimable", generation_id=str(generation_id))
            return
        await self.run_claimed(claim)

    async def run_claimed(self, claim: Claim) -> None:
        """Run what was claimed, and settle it."""
        generation_id = claim.generation_id
        bind_request(claim.request_id, generation_id=str(generation_id), attempt=str(claim.attempt))
        with self.leases.hold(claim) as lease:
            # Opening the stream drops what an earlier attempt had streamed; a cancelled generation keeps it.
            is_kept = claim.cancel_requested and claim.attempt > 1
            kept = await lost_content(self.redis, generation_id) if is_kept else NOTHING
            stream = self.streams.open(
                str(generation_id),
                epoch=claim.attempt,
                model=claim.model,
                may_append=lease.may_append,
                code_blocks=MODES[claim.request.mode].code_blocks,
            )
            try:
                _say_again(stream, kept)
                await self._run_claim(claim, lease, stream, _begin(claim))
            except StreamFenced:
                _log.warning("generation_superseded")
            finally:
                stream.abandon()

    async def _run_claim(self, claim: Claim, lease: Lease, stream: GenerationStream, attempt: Attempt) -> None:
        if claim.cancel_requested:
            lease.stop("cancelled")
        failed: Ending | None = None
        try:
            if not lease.stopped.is_set():
                left_s = min(RUN_LIMIT_S, claim.deadline_at_us / 1e6 - time.time())
                await self.answerer.answer(claim, lease, stream, attempt, limit_s=left_s)
        except StreamFenced:
            raise
        except MediaError as error:
            failed = Ending(ended_as="failed", error=INPUT_GONE, provider_message=str(error))
        except ProviderNotConfigured as error:
            failed = Ending(ended_as="failed", error=MODEL_UNAVAILABLE, provider_message=str(error))
        except Exception as bug:  # noqa: BLE001 - whatever broke, the generation must end and its freeze with it
            _log.exception("generation_broke")
            failed = Ending(ended_as="failed", error=INTERNAL_ERROR, provider_message=repr(bug))
        ending = failed or _ending(attempt)
        if ending.ended_as == "cancelled" and await self._gave_up(claim, lease, attempt):
            return
        await self._finish(claim, stream, attempt, ending)

    async def _gave_up(self, claim: Claim, lease: Lease, attempt: Attempt) -> bool:
        """Let go of a generation that was stopped for another reason than its owner's wish; false if it was that."""
        if lease.stop_reason == "cancelled":
            return False
        if lease.stop_reason == "draining" and await release_generation(self.database, claim, attempt.result.records):
            _log.info("generation_released")
            self.queue.send(WakeUp(claim.tier, claim.request_id))
        return True

    async def _finish(self, claim: Claim, stream: GenerationStream, attempt: Attempt, ending: Ending) -> None:
        await stream.finish_flush()
        prices, _ = await self.catalogue.price(claim.model, claim.price_version)
        attempt.note(provider_us=attempt.result.provider_us)
        finish = Finish(
            generation_id=claim.generation_id,
            account_id=claim.account_id,
            guard=guard_attempt(
                claim.generation_id, claim.account_id, attempt=claim.attempt, status=GenerationStatus.running
            ),
            end_epoch=claim.attempt,
            end_seq=stream.next_seq,
            text=stream.output_text,
            artifacts=stream.output_artifacts,
            structured=stream.output_structured,
            ending=ending,
            frozen_microcredits=claim.frozen_microcredits,
            prices=prices,
            first_token_at_us=attempt.result.first_token_at_us,
            figures=attempt.figures,
            created_at_us=claim.created_at_us,
            calls=attempt.result.records,
            writes=_session_answer(claim, stream, ending),
        )
        terminal = await finish_generation(self.database, self.writer, finish)
        if terminal is not None:
            with contextlib.suppress(StreamFenced):
                await stream.end(terminal)


def _begin(claim: Claim) -> Attempt:
    return Attempt(figures=Figures(database_us=claim.took_us, input_length=claim.input_length))


def _say_again(stream: GenerationStream, content: Content) -> None:
    """Stream what an earlier attempt had streamed; code blocks are found again in the text."""
    if content.text:
        stream.text(content.text)
    if content.structured is not None:
        stream.json(str(content.structured.get("json", "")))
    for artifact in content.artifacts:
        if artifact.get("kind") != CODE_KIND:
            stream.event(ARTIFACT_KIND, artifact)


def _ending(attempt: Attempt) -> Ending:
    result, error = attempt.result, attempt.result.error
    return Ending(
        ended_as="cancelled" if result.outcome == "stopped" else result.outcome,
        usage=result.usage,
        usage_estimated=result.usage_estimated,
        finish_reason=result.finish_reason,
        error=None if error is None else Failure(code=error.code, message=error.message),
        provider_message=None if error is None else error.provider_message,
        price_percent=attempt.price_percent,
    )


def _session_answer(claim: Claim, stream: GenerationStream, ending: Ending) -> tuple[Statement, ...]:
    if claim.request.session_id is None:
        return ()
    answer = append_answer(
        account_id=claim.account_id,
        generation_id=claim.generation_id,
        text=stream.output_text,
        artifacts=stream.output_artifacts,
        structured=None if stream.output_structured is None else stream.output_structured.get("value"),
        partial=ending.ended_as != "completed",
    )
    return (answer,)
