"""What the credits of a lot cost, to the cent.

A lot of `amount` credits that was paid with P is carried at V(r) = P · r / amount for the r credits of it that are
still held, rounded to the nearest unit of the currency, halves up. What any event takes out of the lot is the
difference of V before and after, so nothing is lost or made by rounding: a lot that is used up has given exactly P,
whatever the number of events and their order.
"""

from uuid import UUID

import msgspec


class JournalLot(msgspec.Struct, gc=False):
    """One lot as the journal sees it. Credits are microcredits; money is millionths of its currency.

    `paid` is what the lot cost; for a lot without payment it is what promotional use of it is shown at, which may be
    nothing.
    """

    account_id: UUID
    number: int
    is_bought: bool
    currency: str
    unit: int
    paid: int
    amount: int
    held: int
    reversed: int = 0
    expired: int = 0
    expired_deferred: int = 0
    """Of the money, what expired credits have left in the liability for expired credits."""
    expired_recognised: int = 0
    """Of the money, what was recognised as breakage."""

    def value_of(self, microcredits: int) -> int:
        """Return the money that so many credits of this lot stand for, rounded to its unit, halves up."""
        if not self.paid:
            return 0
        units = self.paid // self.unit
        return (2 * units * microcredits + self.amount) // (2 * self.amount) * self.unit

    def take(self, microcredits: int) -> int:
        """Take held credits out, and return their money."""
        before = self.value_of(self.held)
        self.held -= microcredits
        assert self.held >= 0, "a lot gave more than it had"
        return before - self.value_of(self.held)

    def put_back(self, microcredits: int) -> int:
        """Take credits back in, and return their money."""
        before = self.value_of(self.held)
        self.held += microcredits
        assert self.held <= self.amount, "a lot got back more than it was"
        return self.value_of(self.held) - before

    def refund(self, microcredits: int) -> int:
        """Count credits as reversed, or with a negative number as reinstated; return the money that goes back."""
        before = self.value_of(self.amount - self.reversed)
        self.reversed += microcredits
        assert 0 <= self.reversed <= self.amount, "a lot is reversed once"
        return before - self.value_of(self.amount - self.reversed)

    def expire(self, microcredits: int, money: int, *, recognised: bool) -> None:
        """Count credits as expired, and where their money went."""
        self.expired += microcredits
        if recognised:
            self.expired_recognised += money
        else:
            self.expired_deferred += money

    def unexpire(self, microcredits: int) -> tuple[int, int]:
        """Count expired credits out again; return the money to take from the liability, and from breakage.

        In proportion, rounded to the unit; the last of them take what is left.
        """
        assert microcredits <= self.expired, "a lot has not expired that far"
        deferred = self._share(self.expired_deferred, microcredits)
        recognised = self._share(self.expired_recognised, microcredits)
        self.expired -= microcredits
        self.expired_deferred -= deferred
        self.expired_recognised -= recognised
        return deferred, recognised

    def _share(self, money: int, microcredits: int) -> int:
        if not money:
            return 0
        return (2 * (money // self.unit) * microcredits + self.expired) // (2 * self.expired) * self.unit
