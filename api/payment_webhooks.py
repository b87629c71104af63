"""Webhooks of payment gateways: verified, committed as they came, and answered. A worker settles what they say."""

import time
from typing import Final

from litestar import post
from litestar.params import FromPath

from api.answers import Answer
from api.errors import InvalidSignature, MalformedRequest, NotFound, StaleWebhook
from api.requests import ApiRequest
from workers.payments.gateway import WebhookForged, WebhookMalformed, WebhookStale
from workers.payments.gateways.registry import GatewayNotConfigured
from workers.payments.inbox import keep

MAX_BODY_BYTES: Final = 1024 * 1024


@post(
    "/webhooks/{gateway:str}",
    status_code=200,
    opt={"roles": None, "undocumented": True},
    request_max_body_size=MAX_BODY_BYTES,
)
async def receive(gateway: FromPath[str], request: ApiRequest) -> Answer[dict[str, bool]]:
    """Take a gateway's webhook. The answer is 200 once it is committed, also where it came before.

    Raises:
        NotFound: there is no such gateway, or it is not configured here.
        InvalidSignature: it is not the gateway's.
        StaleWebhook: it was signed too long ago, or in the future.
        MalformedRequest: it makes no sense.
    """
    services = request.services
    body = await request.body()
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
    client = request.scope["client"]
    try:
        event = await services.gateways.get(gateway).verify(
            headers, body, remote_address="" if client is None else client[0], now_s=time.time()
        )
    except GatewayNotConfigured:
        raise NotFound("gateway") from None
    except WebhookForged:
        raise InvalidSignature from None
    except WebhookStale:
        raise StaleWebhook from None
    except WebhookMalformed as malformed:
        raise MalformedRequest(str(malformed)) from None
    if await keep(services.database, gateway, event, headers=headers, body=body, request_id=request.request_id):
        services.inbox_waker.note(request.request_id)
    return Answer({"received": True})
