"""The ledger once more, as plainly as it can be said, to hold the real one against.

It shares no code with `ledger.account` and `ledger.decide`: it keeps lots and adds them up, and derives every total.
"""

from dataclasses import dataclass, field
from uuid import UUID

from ledger import commands

MOST = 2**60
MOST_IN_ALL = 2**62

Part = tuple[int, int]


class Refusal(Exception):
    """The naive ledger says no, with the code that the real one must give."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class NaiveLot:
    number: int
    bought: bool
    is_top_up: bool
    priority: int
    expires_at_us: int | None
    amount: int
    left: int
    frozen: int = 0
    expired: int = 0
    reversed: int = 0

    def over(self, now_us: int) -> bool:
        return self.expires_at_us is not None and now_us >= self.expires_at_us


@dataclass
class NaiveFreeze:
    amount: int
    parts: list[Part]
    expires_at_us: int
    state: str = "open"


@dataclass
class NaiveReversal:
    lot_number: int
    amount: int
    parts: list[Part]
    had_expired: int
    owed: int
    reinstated: bool = False


@dataclass
class NaiveAccount:
    version: int = 0
    came_in: int = 0
    spent: int = 0
    owed: int = 0
    time_us: int = 0
    lots: dict[int, NaiveLot] = field(default_factory=dict[int, NaiveLot])
    freezes: dict[UUID, NaiveFreeze] = field(default_factory=dict[UUID, NaiveFreeze])
    reversals: dict[int, NaiveReversal] = field(default_factory=dict[int, NaiveReversal])

    @property
    def available(self) -> int:
        return sum(lot.left for lot in self.lots.values()) - self.owed

    @property
    def frozen(self) -> int:
        return sum(lot.frozen for lot in self.lots.values())

    @property
    def expired(self) -> int:
        return sum(lot.expired for lot in self.lots.values())

    @property
    def reversed(self) -> int:
        return sum(lot.reversed for lot in self.lots.values())

    def heads(self) -> tuple[int, ...]:
        return (self.version, self.available, self.frozen, self.came_in, self.spent, self.expired, self.reversed)

    def due_lots(self, now_us: int) -> list[int]:
        return [number for number, lot in sorted(self.lots.items()) if lot.left and lot.over(now_us)]

    def perform(self, command: commands.Command, now_us: int) -> int:
        """Do it, and return the amount of the event it makes.

        Raises:
            Refusal: it is not allowed; nothing changed.
        """
        if self.version == 0 and not isinstance(command, commands.OpenAccount):
            raise Refusal("account_not_found")
        amount = self._perform(command, now_us)
        self.version += 1
        self.time_us = now_us
        assert self.came_in == self.available + self.frozen + self.spent + self.expired + self.reversed
        assert self.owed == 0 or not any(lot.left for lot in self.lots.values())
        return amount

    def _perform(self, command: commands.Command, now_us: int) -> int:  # noqa: C901, PLR0911, PLR0912 -- one case each
        match command:
            case commands.OpenAccount():
                return 0
            case commands.TopUp():
                return self._bring_in(
                    command.amount_microcredits, command.priority, command.expires_at_us, bought=True, is_top_up=True
                )
            case commands.Grant():
                return self._bring_in(command.amount_microcredits, command.priority, command.expires_at_us)
            case commands.Freeze():
                return self._freeze(command, now_us)
            case commands.Confirm():
                freeze = self._open_freeze(command.freeze_id)
                amount = freeze.amount if command.amount_microcredits is None else command.amount_microcredits
                require(amount >= 0, "invalid_amount")
                require(amount <= freeze.amount, "amount_exceeds_freeze")
                self._resolve(freeze, amount, now_us)
                freeze.state = "confirmed"
                return amount
            case commands.Rollback():
                return self._roll_back(self._open_freeze(command.freeze_id), now_us)
            case commands.ExpireFreeze():
                freeze = self._open_freeze(command.freeze_id)
                require(now_us >= freeze.expires_at_us, "freeze_not_expired")
                return self._roll_back(freeze, now_us)
            case commands.Charge():
                return self._charge(command, now_us)
            case commands.Adjust():
                return self._adjust(command, now_us)
            case commands.ExpireLot():
                return self._expire_lot(command, now_us)
            case commands.ReverseTopUp():
                return self._reverse(command, now_us)
            case commands.ReinstateReversal():
                return self._reinstate(command, now_us)
            case _:
                raise AssertionError(command)

    def _bring_in(
        self, amount: int, priority: int, expires_at_us: int | None, *, bought: bool = False, is_top_up: bool = False
    ) -> int:
        require(0 < amount <= MOST, "invalid_amount")
        require(self.came_in + amount <= MOST_IN_ALL, "balance_limit_exceeded")
        self.came_in += amount
        self._add_lot(amount, priority, expires_at_us, bought=bought, is_top_up=is_top_up)
        return amount

    def _add_lot(self, amount: int, priority: int, expires_at_us: int | None, *, bought: bool, is_top_up: bool) -> None:
        number = self.version + 1
        lot = NaiveLot(number, bought, is_top_up, priority, expires_at_us, amount, 0)
        self.lots[number] = lot
        self._put_back(lot, amount)

    def _put_back(self, lot: NaiveLot, amount: int) -> None:
        """A debt is paid before a lot gets anything."""
        paid = min(self.owed, amount)
        self.owed -= paid
        lot.left += amount - paid

    def _take(self, amount: int, now_us: int, *, but: NaiveLot | None = None) -> list[Part]:
        """Take what there is, one lot after the other; the caller sees to what is missing."""
        usable = [lot for lot in self.lots.values() if lot.left and not lot.over(now_us) and lot is not but]
        forever = 2**70
        usable.sort(
            key=lambda lot: (
                lot.priority,
                forever if lot.expires_at_us is None else lot.expires_at_us,
                1 if lot.bought else 0,
                lot.number,
            )
        )
        parts: list[Part] = []
        for lot in usable:
            if amount == 0:
                break
            taken = min(amount, lot.left)
            lot.left -= taken
            amount -= taken
            parts.append((lot.number, taken))
        return parts

    def _usable(self, now_us: int) -> int:
        return sum(lot.left for lot in self.lots.values() if not lot.over(now_us))

    def _require_credits(self, amount: int, now_us: int) -> None:
        require(self.owed == 0, "account_in_debt")
        require(self._usable(now_us) >= amount, "insufficient_credits")

    def _freeze(self, command: commands.Freeze, now_us: int) -> int:
        amount = command.amount_microcredits
        require(0 < amount <= MOST, "invalid_amount")
        self._require_credits(amount, now_us)
        require(command.freeze_id not in self.freezes, "freeze_exists")
        parts = self._take(amount, now_us)
        for number, part in parts:
            self.lots[number].frozen += part
        self.freezes[command.freeze_id] = NaiveFreeze(amount, parts, now_us + command.ttl_us)
        return amount

    def _open_freeze(self, freeze_id: UUID) -> NaiveFreeze:
        require(freeze_id in self.freezes, "freeze_not_found")
        freeze = self.freezes[freeze_id]
        require(freeze.state == "open", "freeze_already_resolved")
        return freeze

    def _roll_back(self, freeze: NaiveFreeze, now_us: int) -> int:
        self._resolve(freeze, 0, now_us)
        freeze.state = "rolled_back"
        return freeze.amount

    def _resolve(self, freeze: NaiveFreeze, used: int, now_us: int) -> None:
        self.spent += used
        for number, part in freeze.parts:
            lot = self.lots[number]
            lot.frozen -= part
            spent_here = min(used, part)
            used -= spent_here
            self._return(lot, part - spent_here, now_us)

    def _return(self, lot: NaiveLot, amount: int, now_us: int) -> None:
        if lot.over(now_us):
            lot.expired += amount
        else:
            self._put_back(lot, amount)

    def _expire_lot(self, command: commands.ExpireLot, now_us: int) -> int:
        require(0 <= command.keep_microcredits <= MOST, "invalid_amount")
        require(command.lot_number in self.lots, "lot_not_found")
        lot = self.lots[command.lot_number]
        if lot.over(now_us):
            gone = lot.left
        elif command.keep_microcredits > 0:
            gone = max(0, lot.left - command.keep_microcredits)
        else:
            gone = 0
        require(gone > 0, "lot_not_expirable")
        lot.left -= gone
        lot.expired += gone
        return gone

    def _charge(self, command: commands.Charge, now_us: int) -> int:
        amount = command.amount_microcredits
        require(0 < amount <= MOST, "invalid_amount")
        if command.at_most:
            amount = min(amount, self._usable(now_us))
        else:
            self._require_credits(amount, now_us)
        self._take(amount, now_us)
        self.spent += amount
        return amount

    def _adjust(self, command: commands.Adjust, now_us: int) -> int:
        amount = command.amount_microcredits
        if amount > 0:
            return self._bring_in(amount, commands.DEFAULT_PRIORITY, None)
        down = -amount
        require(0 < down <= MOST, "invalid_amount")
        require(self.came_in - down >= -MOST_IN_ALL, "balance_limit_exceeded")
        require(self.available - down >= -MOST_IN_ALL, "balance_limit_exceeded")
        require(command.allow_negative or self._usable(now_us) >= down, "insufficient_credits")
        taken = sum(part for _, part in self._take(down, now_us))
        self.owed += down - taken
        self.came_in -= down
        return amount

    def _reverse(self, command: commands.ReverseTopUp, now_us: int) -> int:
        amount = command.amount_microcredits
        require(0 < amount <= MOST, "invalid_amount")
        lot = self.lots.get(command.lot_number)
        if lot is None or not lot.is_top_up:
            raise Refusal("lot_not_found")
        require(lot.reversed + amount <= lot.amount, "amount_exceeds_top_up")
        own = min(lot.left, amount)
        had_expired = min(lot.expired, amount - own)
        require(self.available - amount + had_expired >= -MOST_IN_ALL, "balance_limit_exceeded")
        lot.left -= own
        lot.expired -= had_expired
        others = self._take(amount - own - had_expired, now_us, but=lot)
        owed = amount - own - had_expired - sum(part for _, part in others)
        self.owed += owed
        lot.reversed += amount
        parts = [(lot.number, own), *others] if own else others
        self.reversals[self.version + 1] = NaiveReversal(lot.number, amount, parts, had_expired, owed)
        return amount

    def _reinstate(self, command: commands.ReinstateReversal, now_us: int) -> int:
        reversal = self.reversals.get(command.reversal_version)
        if reversal is None or reversal.reinstated:
            raise Refusal("reversal_not_found")
        reversal.reinstated = True
        lot = self.lots[reversal.lot_number]
        lot.reversed -= reversal.amount
        lot.expired += reversal.had_expired
        paid = min(self.owed, reversal.owed)
        self.owed -= paid
        for number, part in reversal.parts:
            self._return(self.lots[number], part, now_us)
        if reversal.owed > paid:
            self._add_lot(reversal.owed - paid, lot.priority, None, bought=True, is_top_up=False)
        return reversal.amount


def require(condition: bool, code: str) -> None:
    if not condition:
        raise Refusal(code)
