"""A fake of Paddle Billing: its REST API over HTTP, with objects that live, and the webhooks that tell of them.

How to use it in a test::

    async with FakePaddle() as paddle:
        gateways = Gateways(paddle.environment)              # PADDLE_API_KEY, PADDLE_BASE_URL, PADDLE_WEBHOOK_SECRET
        started = await gateways.get("paddle").start_purchase(purchase)
        for webhook in paddle.pay(started.gateway_id):       # in the order in which Paddle sends them
            await post("/webhooks/paddle", headers=webhook.headers, content=webhook.body)

What happens at Paddle is a method that returns the webhooks it leads to, together with those of requests made since:
`pay`, `fail` a transaction; `renew`, `miss` (past due), `recover`, `cancel`, `end`, `pause` a subscription; `refund`,
then `approve` or `reject` it; `charge_back`, `warn`, `reverse`. `take` returns those of requests alone. A webhook has
`kind` and `data`; `paddle_webhooks.signed(body, at_s=…)` signs another body, or the same one at another time.

Everything can be looked at and changed in `transactions`, `subscriptions`, `adjustments` and `customers`. `clock` says
what time it is there; `events` are those that are told, by default the ones that our documentation asks for; `declines`
makes banks decline charges without the customer; `approves_refunds` approves at once; `tax_percent` is in every price.

Trouble: `script(…)` answers the next requests without doing anything (`refused`, `limited`, `broken`,
`no_answer(Hang())` and whatever else `scripted_server` has); `act_then(…)` does what the next changing request asks,
and answers so.
"""

import operator
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.fakes.paddle_books import PaddleBooks
from tests.fakes.paddle_objects import Json, new_id, rfc3339
from tests.fakes.paddle_requests import PaddleRefusal, PaddleRequests
from tests.fakes.scripted_server import Answer, Call, ScriptedServer, json_answer

API_KEY = "pdl_live_apikey_01fake"
PER_PAGE = {"transactions": (30, 30), "subscriptions": (50, 200), "adjustments": (10, 50), "customers": (50, 200)}
"""How many on a page, by default and at most."""

OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "LT": operator.lt,
    "LTE": operator.le,
    "GT": operator.gt,
    "GTE": operator.ge,
}


def refused(status: int, code: str, detail: str = "refused", **headers: str) -> Answer:
    """A refusal as Paddle words it."""
    error = {
        "type": "request_error" if status < 500 and status != 429 else "api_error",
        "code": code,
        "detail": detail,
        "documentation_url": f"https://developer.paddle.com/errors/shared/{code}",
    }
    return json_answer(status, {"error": error, "meta": {"request_id": "fake-request"}}, **headers)


def limited(retry_after_s: int) -> Answer:
    """Too many requests."""
    text = "IP address exceeded the allowed rate limit. Retry after the number of seconds in the Retry-After header."
    return refused(429, "too_many_requests", text, retry_after=str(retry_after_s))


def broken(status: int = 500) -> Answer:
    """Paddle has trouble of its own."""
    return refused(status, "internal_error", "An internal error occurred.")


class FakePaddle(PaddleRequests, PaddleBooks, ScriptedServer):
    """A Paddle account on a free port. See the module."""

    def __init__(self) -> None:
        ScriptedServer.__init__(self)
        PaddleBooks.__init__(self)
        self._after_acting: deque[Answer] = deque()

    @property
    def environment(self) -> dict[str, str]:
        """What an installation needs to know of it."""
        return {
            "PADDLE_API_KEY": API_KEY,
            "PADDLE_BASE_URL": self.url,
            "PADDLE_WEBHOOK_SECRET": self.webhook_secret,
        }

    def act_then(self, *answers: Answer) -> None:
        """Do what the next changing requests ask, and answer so, one each."""
        self._after_acting.extend(answers)

    @property
    def changing(self) -> list[Call]:
        """The requests that were to change something."""
        return [call for call in self.calls if call.method != "GET"]

    def refusal(self, call: Call) -> Answer | None:
        """No key, or a wrong one."""
        authorization = call.headers.get("authorization")
        if authorization is None:
            return refused(403, "authentication_missing", "Authentication header missing.")
        if not authorization.startswith("Bearer "):
            return refused(
                403, "authentication_malformed", "Authentication header included, but incorrectly formatted."
            )
        if authorization != f"Bearer {API_KEY}":
            return refused(403, "invalid_token", "Invalid or revoked API key.")
        return None

    def default(self, call: Call) -> Answer:
        """What the real one does when nothing is wrong."""
        parts = urlsplit(call.path)
        path = [part for part in parts.path.split("/") if part]
        try:
            if call.method == "GET":
                return self._read(path, dict(parse_qsl(parts.query)))
            status, entity = self.change(call.method, path, call.body if call.raw_body else {})
        except PaddleRefusal as refusal:
            return refused(refusal.status, refusal.code, refusal.detail)
        if self._after_acting:
            return self._after_acting.popleft()
        return json_answer(status, {"data": entity, "meta": {"request_id": "fake-request"}})

    def _read(self, path: list[str], query: dict[str, str]) -> Answer:
        books: dict[str, dict[str, Json]] = {
            "transactions": self.transactions,
            "subscriptions": self.subscriptions,
            "adjustments": self.adjustments,
            "customers": self.customers,
        }
        if len(path) == 1 and path[0] in books:
            return self._list(path[0], list(books[path[0]].values()), query)
        if len(path) == 2 and path[0] in books and path[0] != "adjustments":
            return json_answer(200, {"data": self.found(books[path[0]], path[1]), "meta": {"request_id": "fake"}})
        raise PaddleRefusal(404, "not_found", "Path not found.")

    def _list(self, name: str, entities: list[Json], query: dict[str, str]) -> Answer:
        default, maximum = PER_PAGE[name]
        count = min(int(query.get("per_page", default)), maximum)
        found = [entity for entity in entities if _matches(entity, query)]
        found.sort(key=lambda entity: entity["id"], reverse=query.get("order_by", "id[DESC]") == "id[DESC]")
        if "after" in query:
            ids = [entity["id"] for entity in found]
            found = found[ids.index(query["after"]) + 1 :]
        page = found[:count]
        following = urlencode({**query, "after": page[-1]["id"]}) if page else urlencode(query)
        pagination = {
            "per_page": count,
            "next": f"https://api.paddle.com/{name}?{following}",
            "has_more": len(found) > count,
            "estimated_total": len(found),
        }
        return json_answer(200, {"data": page, "meta": {"request_id": "fake-request", "pagination": pagination}})

    def session(self, customer_id: str) -> Json:
        """Access to the customer portal."""
        overview = "https://customer-portal.paddle.com/cpl_01fake?action=overview&token=pga_fake"
        return {
            "id": new_id("cpls"),
            "customer_id": customer_id,
            "urls": {"general": {"overview": overview}, "subscriptions": []},
            "created_at": rfc3339(self.clock()),
        }


def _matches(entity: dict[str, Any], query: dict[str, str]) -> bool:
    for name, value in query.items():
        field, _, comparison = name.rstrip("]").partition("[")
        if field in ("after", "order_by", "per_page", "include"):
            continue
        if comparison:
            have = entity[field]
            # Both are RFC 3339 in UTC; Paddle's have milliseconds.
            if have is None or not OPERATORS[comparison](_sortable(have), _sortable(value)):
                return False
        elif entity.get(field) not in value.split(","):
            return False
    return True


def _sortable(moment: str) -> str:
    whole, _, fraction = moment.removesuffix("Z").removesuffix("+00:00").partition(".")
    return f"{whole}.{fraction.ljust(9, '0')}"
