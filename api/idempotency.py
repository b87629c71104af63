"""Requests that take effect once under one `Idempotency-Key`, where the ledger does not see to that itself.

The claim on the key, the work and the recorded answer are one transaction: if the process dies in between, nothing has
happened and the key is free. A repeated request waits for the original for a bounded time. Work that writes through
other connections must be harmless to repeat, since it may have happened although the claim was lost.

An answer that holds a secret is recorded encrypted with a key derived from the caller's credential, which is stored
nowhere. So a copy of the database gives no secrets away, and only the credential that got the answer can get it again.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, cast

import msgspec
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import AsyncConnection

from api.answers import Answer, encode
from api.errors import RequestInProgress, SecretNotReplayable
from api.requests import ApiRequest
from ledger import statements
from ledger.errors import IdempotencyKeyReused

sql: Final = statements.load("api")

NONCE_BYTES: Final = 12

Content = TypeVar("Content")
Work = Callable[[AsyncConnection[Any]], Awaitable[Answer[Content]]]


async def once(request: ApiRequest, work: Work[Content], *, is_secret: bool = False) -> Answer[Content]:
    """Do the work, or repeat the answer it had under this key before; without a key, just do it.

    Raises:
        IdempotencyKeyReused: the key belongs to a different request of this caller.
        RequestInProgress: the original is still running after a bounded wait.
        SecretNotReplayable: the answer can be repeated only to the credential that got it.
    """
    key = request.idempotency_key
    async with request.services.requests_database.connection() as connection:
        if key is None:
            return await work(connection)
        claim = {
            "principal": request.principal.actor,
            "idempotency_key": key,
            "request_sha256": await _digest(request),
        }
        if not await _claim(connection, claim):
            return cast("Answer[Content]", await _repeat(connection, claim, request))
        answer = await work(connection)
        body = encode(answer.content)
        recorded = {
            **claim,
            "status": answer.status_code,
            "is_encrypted": is_secret,
            "body": _encrypt(body, request, key) if is_secret else body,
        }
        await connection.execute(sql.RECORD_ANSWER, recorded)
        return answer


async def _claim(connection: AsyncConnection[Any], claim: Mapping[str, object]) -> bool:
    await connection.execute(sql.LIMIT_CLAIM_WAIT)
    try:
        return await (await connection.execute(sql.CLAIM_REQUEST, claim)).fetchone() is not None
    except psycopg.errors.LockNotAvailable:
        raise RequestInProgress from None


async def _repeat(connection: AsyncConnection[Any], claim: dict[str, Any], request: ApiRequest) -> Answer[msgspec.Raw]:
    row = await (await connection.execute(sql.READ_REQUEST, claim)).fetchone()
    if row is None:
        raise RequestInProgress
    request_sha256, status, is_encrypted, body = row
    if request_sha256 != claim["request_sha256"]:
        raise IdempotencyKeyReused(claim["idempotency_key"])
    if is_encrypted:
        body = _decrypt(body, request, claim["idempotency_key"])
    return Answer(msgspec.Raw(body), status=status, replayed=True)


async def _digest(request: ApiRequest) -> bytes:
    return hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + await request.body()).digest()


def _cipher(request: ApiRequest) -> AESGCM:
    credential = (request.header(b"authorization") or "").encode("latin-1")
    return AESGCM(hmac.digest(credential.split(None, 1)[-1], b"holdfast: recorded answer", "sha256"))


def _encrypt(body: bytes, request: ApiRequest, key: str) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _cipher(request).encrypt(nonce, body, key.encode())


def _decrypt(body: bytes, request: ApiRequest, key: str) -> bytes:
    try:
        return _cipher(request).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], key.encode())
    except InvalidTag:
        raise SecretNotReplayable from None
