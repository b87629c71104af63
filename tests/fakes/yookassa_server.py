"""YooKassa on a real socket: payments, saved means of payment, refunds, lists, idempotence, and what it sends.

    async with FakeYooKassa() as server:
        gateway = Gateways(server.environment()).get("yookassa")
        started = await gateway.start_purchase(purchase)     # a payment, pending; its id is `gateway_id`
        (sent,) = server.pay(started.gateway_id)             # the customer pays: what YooKassa would send now
        event = await gateway.verify(sent.headers, sent.body, remote_address=sent.remote_address, now_s=0)
        facts = await gateway.facts(event.kind, sent.headers, sent.body)

What customers and administrators do is a method: `pay`, `cancel`, `refund` (in YooKassa's own pages), `finish_refund`,
`fail_refund`, `decline_method`, `accept_method`, `forget_method`. Each returns the notifications that the real one
would send for it, in order. What our own calls bring about (a charge to a saved means of payment, a refund) sends
notifications too: all of them, whoever caused them, are in `notifications`. `add_payment` makes a payment that we know
nothing of, at any time, paid or not; fast enough to make 50,000.

How it fails: `script(...)` answers the next calls so and does nothing (`too_many_requests()`, `internal_error()`,
`no_answer(Hang())`, `no_answer(Cut())`); `acts_but(...)` does what is asked and then answers so; another `secret_key`
answers 401. `advance(hours=25)` moves its clock, so that it forgets idempotence keys.

Idempotence is the real one's: a key is known for 24 hours, the same key with the same data returns the object as it is
now, with other data 400 `Idempotence key duplicated`; what was refused leaves no trace of its key.
"""

import base64
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.scripted_server import Answer, Call, ScriptedServer, json_answer
from tests.fakes.yookassa_objects import Object, Refusal, error
from tests.fakes.yookassa_shop import Shop

SECRET_KEY = "test_Fh8hUAVVBGUGbjmlzba6TB0iyUbos_lueTHE-axOwM0"
KEY_LIFETIME_US = timedelta(hours=24) // timedelta(microseconds=1)


@dataclass(frozen=True)
class _Known:
    """What was done under an idempotence key."""

    path: str
    request: Object
    made: Object
    at_us: int


class FakeYooKassa(ScriptedServer, Shop):
    """One shop. See the module."""

    def __init__(self) -> None:
        ScriptedServer.__init__(self)
        Shop.__init__(self)
        self.secret_key = SECRET_KEY
        self._known: dict[str, _Known] = {}
        self._after: deque[Answer] = deque()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.pages_url = self.url
        return self

    def environment(self, **more: str) -> dict[str, str]:
        """The variables with which our gateway talks to this server."""
        keys = {"YOOKASSA_SHOP_ID": self.shop_id, "YOOKASSA_SECRET_KEY": self.secret_key}
        return {**keys, "YOOKASSA_BASE_URL": f"{self.url}/v3", **more}

    @property
    def created(self) -> list[Call]:
        """The calls that make something."""
        return [call for call in self.calls if call.method == "POST"]

    def acts_but(self, *answers: Answer) -> None:
        """Do what the next calls ask for, and then answer so all the same."""
        self._after.extend(answers)

    def refusal(self, call: Call) -> Answer | None:
        """Nobody gets anything without the key."""
        wanted = base64.b64encode(f"{self.shop_id}:{self.secret_key}".encode()).decode()
        if call.headers.get("authorization") == f"Basic {wanted}":
            return None
        words = "Basic authentication failed: check the shop id and the secret key"
        return error(401, "invalid_credentials", words, "Authorization")

    def default(self, call: Call) -> Answer:
        """What the real one does when nothing is wrong."""
        try:
            answer = self._answer(call)
        except Refusal as refusal:
            answer = error(400, "invalid_request", refusal.description, refusal.parameter)
        return self._after.popleft() if self._after else answer

    def _answer(self, call: Call) -> Answer:
        parts = urlsplit(call.path)
        kind, _, object_id = parts.path.removeprefix("/v3/").partition("/")
        if kind not in ("payments", "refunds"):
            return error(404, "not_found", "Incorrect path")
        collection = self._payments if kind == "payments" else self._refunds
        if call.method == "POST" and not object_id:
            return self._make_once(kind, call)
        if call.method != "GET":
            return Answer(405)
        if not object_id:
            return json_answer(200, collection.page(dict(parse_qsl(parts.query, keep_blank_values=True))))
        if object_id not in collection.by_id:
            return error(404, "not_found", f"{kind[:-1].title()} doesn't exist", f"{kind[:-1]}_id")
        return json_answer(200, collection.by_id[object_id])

    def _make_once(self, kind: str, call: Call) -> Answer:
        if not call.headers.get("content-type", "").startswith("application/json"):
            return Answer(415)
        key = call.headers.get("idempotence-key", "")
        if not 1 <= len(key) <= 64:
            raise Refusal("Idempotence-Key", "Idempotence key is missing or too long")
        known = self._known.get(key)
        if known is None or known.at_us + KEY_LIFETIME_US < self.now_us():
            made = self.make_payment(call.body) if kind == "payments" else self.make_refund(call.body)
            self._known[key] = _Known(kind, call.body, made, self.now_us())
            return json_answer(200, made)
        if (known.path, known.request) != (kind, call.body):
            raise Refusal("Idempotence-Key", "Idempotence key duplicated")
        return json_answer(200, known.made)
