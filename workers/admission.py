"""Taking on a generation: decide its price, freeze the most it can cost, and write down what is to be done.

Freeze, generation and outbox row commit together, so there is no freeze without its generation and no generation that
nobody starts. The freeze has the generation's own id.
"""

import hashlib
import time
from typing import Final, cast
from uuid import UUID

import psycopg
from msgspec import Struct
from uuid_utils.compat import uuid7

from ledger import commands
from ledger.batch import Rider, Statement
from ledger.errors import AccountNotFound, IdempotencyKeyReused
from ledger.events import CreditsFrozen
from ledger.rows import from_us
from workers.catalogue import Model
from workers.context import GenerationContext
from workers.errors import GenerationNotRetryable
from workers.generations import Generation, GenerationStatus, generation_of_row, get_generation, sql
from workers.queue import Dispatch
from workers.requests import (
    GenerationRequest,
    StoredRequest,
    bound_cost,
    output_limit,
    provider_request,
    read_request,
)

FREEZE_TTL_S: Final = 3_600
DEADLINE_S: Final = 2_700
"""All work on a generation ends within this time of its admission, well before its freeze expires."""

RESEND_AFTER_S: Final = 2
"""The outbox takes over if no worker has claimed a generation by then."""


class Admitted(Struct, frozen=True):
    """A generation that was taken on; `replayed` if an earlier request under the same key had done so."""

    generation: Generation
    replayed: bool


async def admit(
    context: GenerationContext,
    account_id: UUID,
    request: GenerationRequest,
    *,
    idempotency_key: str | None = None,
    request_id: str,
    retry_of: UUID | None = None,
) -> Admitted:
    """Take on a generation, or return the one that this key already led to.

    Raises:
        ModelNotFound: no such model is offered here.
        InvalidInput, InputTooLong: the model does not take this input.
        IdempotencyKeyReused: the key belongs to another request of this account.
        InsufficientCredits, AccountInDebt: the account cannot cover the most it may cost.
        AccountNotFound: there is no such account.
        Contended: the database could not take it now.
    """
    request_sha256 = request.sha256(retry_of=retry_of)
    if idempotency_key is not None:
        earlier = await _find_replay(context, account_id, idempotency_key, request_sha256)
        if earlier is not None:
            return Admitted(earlier, replayed=True)
    stored = read_request(request)
    model = await context.catalogue.offered(request.model)
    generation, statement = _prepare(
        context,
        account_id,
        stored,
        model=model,
        request_id=request_id,
        request_sha256=request_sha256,
        retry_of=retry_of,
    )
    statement[1]["idempotency_sha256"] = None if idempotency_key is None else _sha256(idempotency_key)
    try:
        original_id = await _write(context, generation, statement, idempotency_key, request_sha256)
    except (IdempotencyKeyReused, psycopg.errors.UniqueViolation):
        # Another request with this key was admitted meanwhile; perhaps the same one, at another price.
        assert idempotency_key is not None, "without a key nothing can be repeated"
        earlier = await _find_replay(context, account_id, idempotency_key, request_sha256)
        if earlier is None:
            raise
        return Admitted(earlier, replayed=True)
    if original_id != generation.id:
        original = await get_generation(context.database, original_id, account_id=account_id)
        return Admitted(original, replayed=True)
    context.queue.send(Dispatch(account_id, generation.id, request_id))
    return Admitted(generation, replayed=False)


async def retry_generation(
    context: GenerationContext,
    generation_id: UUID,
    *,
    account_id: UUID | None,
    idempotency_key: str | None = None,
    request_id: str,
) -> Admitted:
    """Ask again for what failed or was cancelled: a new generation, at today's price, linked by `retry_of`.

    Raises:
        GenerationNotFound: there is none, or it is another account's.
        GenerationNotRetryable: it completed, or has not ended.
        ModelNotFound, InvalidInput, IdempotencyKeyReused, Refused, Contended: as `admit`.
    """
    original = await get_generation(context.database, generation_id, account_id=account_id)
    if original.status not in {GenerationStatus.failed, GenerationStatus.cancelled}:
        raise GenerationNotRetryable(generation_id, status=original.status.name)
    async with context.database.connection() as connection:
        ids = {"generation_id": original.id, "account_id": original.account_id}
        row = await (await connection.execute(sql.READ_REQUEST, ids)).fetchone()
    assert row is not None, "a generation is written together with its request"
    return await admit(
        context,
        original.account_id,
        StoredRequest.decode(row[0]).again(),
        idempotency_key=idempotency_key,
        request_id=request_id,
        retry_of=original.id,
    )


def _prepare(
    context: GenerationContext,
    account_id: UUID,
    stored: StoredRequest,
    *,
    model: Model,
    request_id: str,
    request_sha256: bytes,
    retry_of: UUID | None,
) -> tuple[Generation, Statement]:
    generation_id, now_us = uuid7(), time.time_ns() // 1_000
    limit = output_limit(stored, model)
    call = provider_request(stored, model, generation_id=generation_id, request_id=request_id, max_output_tokens=limit)
    frozen = bound_cost(call, context.providers.get(model.definition.provider), model)
    generation = Generation(
        id=generation_id,
        account_id=account_id,
        model=stored.model,
        mode=stored.mode,
        provider=model.definition.provider,
        status=GenerationStatus.queued,
        partial=False,
        frozen_microcredits=frozen,
        cost_microcredits=None,
        shortfall_microcredits=None,
        price_version=model.price_version,
        max_output_tokens=limit,
        attempts=0,
        retry_of=retry_of,
        request_id=request_id,
        usage=None,
        usage_estimated=False,
        finish_reason=None,
        error=None,
        provider_message=None,
        created_at_us=now_us,
        started_at_us=None,
        first_token_at_us=None,
        finished_at_us=None,
        cancel_requested_at_us=None,
    )
    parameters: dict[str, object] = {
        "id": generation_id,
        "account_id": account_id,
        "retry_of": retry_of,
        "created_at": from_us(now_us),
        "deadline_at": from_us(now_us + DEADLINE_S * 1_000_000),
        "frozen": frozen,
        "price_version": model.price_version,
        "max_output_tokens": limit,
        "model": stored.model,
        "mode": stored.mode,
        "provider": model.definition.provider,
        "request_id": request_id,
        "idempotency_sha256": None,
        "request_sha256": request_sha256,
        "body": stored.encode(),
        "resend_after": f"{RESEND_AFTER_S} s",
    }
    return generation, (sql.ADMIT_GENERATION, parameters)


async def _write(
    context: GenerationContext,
    generation: Generation,
    statement: Statement,
    idempotency_key: str | None,
    request_sha256: bytes,
) -> UUID:
    """Write the generation and return its id, or the id of the one that the key led to before.

    A model that is free freezes nothing: an account without credits may use it, and the ledger has nothing to say.
    """
    if generation.frozen_microcredits == 0:
        try:
            async with context.database.connection() as connection:
                await connection.execute(*statement)
        except psycopg.errors.ForeignKeyViolation as error:
            if error.diag.constraint_name == "generations_account":
                raise AccountNotFound(generation.account_id) from None
            raise
        return generation.id
    suffix = str(generation.id) if idempotency_key is None else _sha256(idempotency_key).hex()
    freeze = commands.Freeze(
        account_id=generation.account_id,
        command_key=f"{commands.OWN_KEY_PREFIX}generate:{suffix}",
        actor="generations",
        freeze_id=generation.id,
        amount_microcredits=generation.frozen_microcredits,
        ttl_us=FREEZE_TTL_S * 1_000_000,
        reference=f"generation:{request_sha256.hex()}",
    )
    outcome = await context.writer.submit(freeze, riders=[Rider(writes=(statement,))])
    return cast("CreditsFrozen", outcome.event.decoded_body()).freeze_id


async def _find_replay(
    context: GenerationContext, account_id: UUID, idempotency_key: str, request_sha256: bytes
) -> Generation | None:
    parameters = {"account_id": account_id, "idempotency_sha256": _sha256(idempotency_key)}
    async with context.database.connection() as connection:
        row = await (await connection.execute(sql.FIND_REPLAY, parameters)).fetchone()
    if row is None:
        return None
    if bytes(row[0]) != request_sha256:
        raise IdempotencyKeyReused(idempotency_key)
    return generation_of_row(row[1:])


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
