"""What we know of a subscription, and what it becomes by what its gateway says. Nothing is read or written here."""

from typing import Any, Final, Literal, Self, TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ledger.rows import from_us, to_us
from workers.payments.catalogue import read_price_key
from workers.payments.facts import Period, SavedMethod, SubscriptionFact, SubscriptionStatus

Change: TypeAlias = Literal[
    "began", "plan", "next_plan", "renewed", "period", "cancelled", "resumed", "past_due", "paused", "active", "ended",
    "method", "renamed", "declined",
]  # fmt: skip
"""What was new about a revision."""

RUNNING: Final = frozenset({SubscriptionStatus.active, SubscriptionStatus.past_due})
"""With these, a subscription is being paid for, or is about to be."""

_CHANGE_TO: Final[dict[SubscriptionStatus, Change]] = {
    SubscriptionStatus.incomplete: "began",
    SubscriptionStatus.active: "active",
    SubscriptionStatus.past_due: "past_due",
    SubscriptionStatus.paused: "paused",
    SubscriptionStatus.ended: "ended",
}


class Plan(Struct, frozen=True):
    """A version of a plan, at its price in a region."""

    name: str
    version: int
    region: str


class Subscription(Struct, frozen=True, kw_only=True):
    """One subscription, as it is known here. Times are microseconds since the Unix epoch."""

    gateway: str
    id: str
    account_id: UUID
    order_id: UUID | None
    status: SubscriptionStatus
    plan: Plan | None = None
    """`None` where the gateway names none of ours."""
    next_plan: tuple[str, int] | None = None
    """Name and version of the plan of the next period, where that is another one."""
    period: Period | None = None
    anchored_us: int | None = None
    """When the first of the periods began that follow each other without a gap; only for those that we renew."""
    ends_at_period_end: bool = False
    method: SavedMethod | None = None
    asked_us: int
    revision: int = 1
    tries: int = 0
    """How often a charge for the next period was declined; only for those that we renew."""
    try_us: int | None = None
    due_us: int | None = None

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of `find_subscription.sql` and its like."""
        return cls(
            gateway=row[0],
            id=row[1],
            account_id=row[2],
            order_id=row[3],
            status=SubscriptionStatus(row[4]),
            plan=None if row[5] is None else Plan(row[5], row[6], row[7]),
            next_plan=None if row[8] is None else (row[8], row[9]),
            period=None if row[10] is None or row[11] is None else Period(to_us(row[10]), to_us(row[11])),
            anchored_us=None if row[12] is None else to_us(row[12]),
            ends_at_period_end=row[13],
            method=None if row[15] is None else SavedMethod(customer_id=row[14], method_id=row[15], label=row[16]),
            asked_us=to_us(row[17]),
            revision=row[18],
            tries=row[19],
            try_us=None if row[20] is None else to_us(row[20]),
            due_us=None if row[21] is None else to_us(row[21]),
        )

    @property
    def is_ours(self) -> bool:
        """Whether no gateway knows it, so that it is we who renew it."""
        return self.id == str(self.order_id)

    def parameters(self) -> dict[str, object]:
        """Return it as `insert_subscription.sql` and `update_subscription.sql` take it."""
        plan, next_plan, method = self.plan, self.next_plan or (None, None), self.method
        return {
            "gateway": self.gateway,
            "subscription_id": self.id,
            "account_id": self.account_id,
            "order_id": self.order_id,
            "status": self.status.value,
            "plan": plan and plan.name,
            "plan_version": plan and plan.version,
            "region": plan and plan.region,
            "next_plan": next_plan[0],
            "next_plan_version": next_plan[1],
            "period_begins_at": None if self.period is None else from_us(self.period.begins_us),
            "period_ends_at": None if self.period is None else from_us(self.period.ends_us),
            "anchored_at": None if self.anchored_us is None else from_us(self.anchored_us),
            "ends_at_period_end": self.ends_at_period_end,
            "customer_id": method and method.customer_id,
            "method_id": method and method.method_id,
            "method_label": method and method.label,
            "asked_at": from_us(self.asked_us),
            "revision": self.revision,
            "tries": self.tries,
            "try_at": None if self.try_us is None else from_us(self.try_us),
            "due_at": None if self.due_us is None else from_us(self.due_us),
        }


def new_subscription(gateway: str, fact: SubscriptionFact, account_id: UUID) -> Subscription:
    """Return a subscription of which nothing was known, as its gateway tells it."""
    return Subscription(
        gateway=gateway,
        id=fact.subscription_id,
        account_id=account_id,
        order_id=fact.order_id,
        status=fact.status,
        plan=_plan_of(fact),
        period=_period_of(fact),
        ends_at_period_end=fact.ends_at_period_end,
        method=fact.saved_method,
        asked_us=fact.asked_at_us,
    )


def told(known: Subscription, fact: SubscriptionFact) -> Subscription:
    """Return what a subscription is after its gateway said what it was when asked.

    The answer to a later question counts, and what has ended has ended: it comes back as another subscription. What an
    answer leaves out stays as it was known. Some gateways name the plan of the next period as soon as that is agreed:
    until that period begins, it is not the plan yet.
    """
    renamed = replace(
        known, id=fact.subscription_id, order_id=known.order_id or fact.order_id, try_us=None, due_us=None
    )
    if known.status is SubscriptionStatus.ended:
        return renamed
    is_over = fact.status is SubscriptionStatus.ended
    if fact.asked_at_us < known.asked_us and not is_over:
        return renamed
    plan, period = _plan_of(fact) or known.plan, _period_of(fact) or known.period
    is_same_period = period == known.period
    if is_same_period and plan is not None and known.next_plan == (plan.name, plan.version):
        plan = known.plan
    return replace(
        renamed,
        status=fact.status,
        plan=plan,
        next_plan=known.next_plan if is_same_period and not is_over else None,
        period=period,
        ends_at_period_end=known.ends_at_period_end if is_over else fact.ends_at_period_end,
        method=_method(known.method, fact.saved_method),
        asked_us=max(fact.asked_at_us, known.asked_us),
    )


def _method(known: SavedMethod | None, said: SavedMethod | None) -> SavedMethod | None:
    """Return the means of payment; where its gateway does not say what the customer knows it by, that stays."""
    if known is None or said is None:
        return said or known
    is_same = known.method_id == said.method_id
    return replace(said, label=known.label) if is_same and not said.label else said


def changes_between(before: Subscription, after: Subscription) -> tuple[Change, ...]:
    """Return what is new, apart from when its gateway was asked and when it is looked at again."""
    found: list[Change] = []
    if before.id != after.id:
        found.append("renamed")
    if before.status is not after.status:
        found.append(_CHANGE_TO[after.status])
    if before.plan != after.plan:
        found.append("plan")
    if before.next_plan != after.next_plan:
        found.append("next_plan")
    if before.period != after.period:
        found.append("period")
    if before.ends_at_period_end is not after.ends_at_period_end:
        found.append("cancelled" if after.ends_at_period_end else "resumed")
    if before.method != after.method:
        found.append("method")
    return tuple(found)


def _plan_of(fact: SubscriptionFact) -> Plan | None:
    key = read_price_key(fact.price_key)
    return None if key is None else Plan(key.plan, key.version, key.region)


def _period_of(fact: SubscriptionFact) -> Period | None:
    period = fact.period
    return period if period is not None and period.begins_us < period.ends_us else None
