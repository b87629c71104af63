"""Webhooks of model providers: verified, kept, and told to whoever waits for the job.

A webhook decides nothing. It makes whoever waits ask the provider sooner, so it may come twice, late, in any order or
never. What comes for a generation that has ended is looked into by the clock.
"""

import time

from litestar import post
from litestar.params import FromPath

from api.answers import Answer
from api.errors import InvalidSignature, MalformedRequest, NotFound, StaleWebhook
from api.requests import ApiRequest
from workers.notices import publish_webhook
from workers.upstream_jobs import is_webhook_token, keep_webhook


@post("/webhooks/providers/{provider:str}/{token:str}", status_code=200, opt={"roles": None, "undocumented": True})
async def receive(provider: FromPath[str], token: FromPath[str], request: ApiRequest) -> Answer[dict[str, bool]]:
    """Take a provider's webhook about one of our jobs. The answer is 200 once it is committed.

    Raises:
        NotFound: there is no such job, or the webhook is about another one.
        InvalidSignature: the provider did not sign it, or its secret is not configured here.
        StaleWebhook: it was signed too long ago, or in the future.
        MalformedRequest: it is about no job at all.
    """
    services = request.services
    if not await is_webhook_token(services.database, provider=provider, token=token):
        raise NotFound("webhook")
    body = await request.body()
    upstream_id = await _verified_id(provider, request, body)
    if not await keep_webhook(services.database, provider=provider, token=token, upstream_id=upstream_id, body=body):
        raise NotFound("webhook")
    await publish_webhook(services.generations.redis, token)
    return Answer({"received": True})


async def _verified_id(provider: str, request: ApiRequest, body: bytes) -> str:
    """Return the id of the job that a genuine webhook is about."""
    verifier = request.services.webhook_verifiers.get(provider)
    if verifier is None:
        raise InvalidSignature
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
    verdict = await verifier.verdict(headers, body, now_s=time.time())
    if verdict == "forged":
        raise InvalidSignature
    if verdict == "stale":
        raise StaleWebhook
    upstream_id = verifier.upstream_id(body)
    if upstream_id is None:
        raise MalformedRequest("the webhook is about no job")
    return upstream_id
