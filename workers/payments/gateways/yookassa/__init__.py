"""YooKassa: payments by redirect, charges to saved means of payment, refunds, receipts under Russian law.

It is called over its REST API, not through its SDK: that is synchronous (each call would hold a thread of the worker),
configured by class attributes (one shop for the whole process, and tests that see each other's), without any time-out,
sends its own metadata with our payments, and turns a refused connection into an `AttributeError`, so that nobody can
tell whether money moved. What is left of it is a JSON decoder, which `msgspec` does with types. The tests hold what we
send, what we read and whom we trust against the SDK.

Webhooks are not signed. One is taken only from YooKassa's networks, and believed only in what it is about: the object
is fetched again, with our key, and what it is then is the fact.
"""

from collections.abc import Mapping

from workers.payments.gateway import Gateway
from workers.payments.gateways.registry import GatewayFactory


def _make(environment: Mapping[str, str]) -> Gateway:
    from workers.payments.gateways.yookassa.gateway import YooKassa  # noqa: PLC0415 - only where it is configured
    from workers.payments.gateways.yookassa.settings import YooKassaSettings  # noqa: PLC0415 - the same

    return YooKassa(YooKassaSettings.from_environment(environment))


FACTORY = GatewayFactory(name="yookassa", required=("YOOKASSA_SHOP_ID", "YOOKASSA_SECRET_KEY"), make=_make)
