"""What the fake Stripe keeps: objects by their ids, lists in the order of their making, and the events they led to."""

import json
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast
from uuid import uuid4

from stripe import WebhookSignature, api_version

from tests.fakes.stripe_forms import Form, StripeRefusal, missing_object, whole
from workers.payments.gateways.stripe.events import HANDLERS

WEBHOOK_SECRET = "whsec_fake"
MAX_EXPANSION = 4

SIGN = cast("Callable[[str, str, int], str]", WebhookSignature.generate_signature_header)  # pyright: ignore[reportUnknownMemberType] - its types are partly missing

Thing = dict[str, Any]
"""One of Stripe's objects."""


class Webhook(NamedTuple):
    """What Stripe sends: `headers, body = webhook`."""

    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """Such as `charge.refunded`."""
        return json.loads(self.body)["type"]

    @property
    def event_id(self) -> str:
        """The id of the event."""
        return json.loads(self.body)["id"]

    @property
    def about(self) -> Thing:
        """The object as it was."""
        return json.loads(self.body)["data"]["object"]


class StripeBooks:
    """Objects, lists and events."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: Callable[[], float] = time.time
        """What time it is at Stripe; the times of objects and of signatures are taken from it."""
        self.webhook_secret = WEBHOOK_SECRET
        self.enabled_events: frozenset[str] | None = frozenset(HANDLERS)
        """What the endpoint for webhooks was told to take; `None` is everything that there is."""
        self.objects: dict[str, Thing] = {}
        self.events: list[Thing] = []
        self._lists: dict[str, list[tuple[int, int, str]]] = {}
        self._places: dict[str, tuple[int, int, str]] = {}
        self._told = 0

    def now(self) -> int:
        """The time in seconds."""
        return int(self.clock())

    def keep(self, kind: str, prefix: str, **fields: Any) -> Thing:
        """Make an object of a kind, now or when `created` says."""
        made: Thing = {
            "id": f"{prefix}_{uuid4().hex[:24]}",
            "object": kind,
            "created": self.now(),
            "livemode": False,
            **fields,
        }
        place = (made["created"], len(self._places), made["id"])
        self.objects[made["id"]] = made
        self._places[made["id"]] = place
        insort(self._lists.setdefault(kind, []), place)
        return made

    def get(self, kind: str, object_id: str | None, *, param: str = "id") -> Thing:
        """The object with that id, if it is of that kind."""
        found = self.objects.get(object_id or "")
        if found is None or found["object"] != kind:
            raise missing_object(kind.replace(".", " "), str(object_id), param=param)
        return found

    def all(self, kind: str, **fields: Any) -> list[Thing]:
        """All objects of a kind with these fields, the oldest first."""
        found = (self.objects[object_id] for _, _, object_id in self._lists.get(kind, []))
        return [thing for thing in found if all(thing.get(name) == value for name, value in fields.items())]

    def page(self, kind: str, url: str, form: Form, *, keeps: Callable[[Thing], bool] = lambda _: True) -> Thing:
        """A page of a list, the latest first."""
        limit = whole(form, "limit") if "limit" in form else 10
        if not 1 <= limit <= 100:
            raise StripeRefusal("This value must be between 1 and 100.", param="limit")
        found: list[Thing] = []
        for thing in self._backwards(kind, form):
            if keeps(thing):
                found.append(thing)
            if len(found) > limit:
                break
        return {"object": "list", "url": url, "has_more": len(found) > limit, "data": found[:limit]}

    def emit(self, kind: str, about: Mapping[str, Any], **previous: Any) -> None:
        """Tell the world that something happened to an object, as it is now."""
        data: Thing = {"object": json.loads(json.dumps(about))}
        if previous:
            data["previous_attributes"] = previous
        self.events.append(
            self.keep(
                "event",
                "evt",
                api_version=api_version,
                data=data,
                pending_webhooks=1,
                request={"id": None, "idempotency_key": None},
                type=kind,
            )
        )

    def take_webhooks(self) -> list[Webhook]:
        """What was sent since the last time that somebody asked, in order."""
        untold, self._told = self.events[self._told :], len(self.events)
        return [self.signed(event) for event in untold if self._is_sent(event)]

    def signed(self, event: Mapping[str, Any], *, at_s: float | None = None, secret: str | None = None) -> Webhook:
        """An event, or anything else, as a webhook with a signature by the SDK."""
        body = json.dumps(event, separators=(",", ":"))
        header = SIGN(
            body, self.webhook_secret if secret is None else secret, int(self.clock() if at_s is None else at_s)
        )
        headers = {"content-type": "application/json; charset=utf-8", "user-agent": "Stripe/1.0"}
        return Webhook({**headers, "stripe-signature": header}, body.encode())

    def expanded(self, thing: Any, paths: list[str]) -> Any:
        """A copy of an object, with objects in place of the ids that were asked for."""
        copied = json.loads(json.dumps(thing))
        for path in paths:
            parts = path.split(".")
            if len(parts) > MAX_EXPANSION:
                raise StripeRefusal(f"You cannot expand more than {MAX_EXPANSION} levels of a property", param="expand")
            copied = self._expand(copied, parts)
        return copied

    def _is_sent(self, event: Thing) -> bool:
        return self.enabled_events is None or event["type"] in self.enabled_events

    def _backwards(self, kind: str, form: Form) -> Iterator[Thing]:
        places = self._lists.get(kind, [])
        created = form.get("created", {})
        end = len(places)
        if "starting_after" in form:
            after = self.get(kind, form["starting_after"], param="starting_after")
            end = bisect_left(places, self._places[after["id"]])
        if "lt" in created:
            end = min(end, bisect_left(places, (int(created["lt"]), -1, "")))
        if "lte" in created:
            end = min(end, bisect_left(places, (int(created["lte"]) + 1, -1, "")))
        begin = 0
        if "gte" in created:
            begin = bisect_left(places, (int(created["gte"]), -1, ""))
        if "gt" in created:
            begin = bisect_left(places, (int(created["gt"]) + 1, -1, ""))
        for index in range(end - 1, begin - 1, -1):
            yield self.objects[places[index][2]]

    def _expand(self, value: Any, parts: list[str]) -> Any:
        if isinstance(value, str):
            found = self.objects.get(value)
            if found is None:
                raise StripeRefusal("This property cannot be expanded.", param="expand")
            value = json.loads(json.dumps(found))
        if not parts or value is None:
            return value
        if isinstance(value, list):
            return [self._expand(member, parts) for member in value]  # pyright: ignore[reportUnknownVariableType] - JSON
        part, *rest = parts
        if part == "payments" and value["object"] == "invoice" and part not in value:
            value["payments"] = self._payments_of(value)
        if part not in value:
            raise StripeRefusal(f"This property cannot be expanded ({part}).", param="expand")
        value[part] = self._expand(value[part], rest)
        return value

    def _payments_of(self, invoice: Thing) -> Thing:
        payments = json.loads(json.dumps(self.all("invoice_payment", invoice=invoice["id"])))
        return {"object": "list", "url": "/v1/invoice_payments", "has_more": False, "data": payments}
