"""What all accounts together have, in microcredits."""

import msgspec

from ledger.account import Account


class Totals(msgspec.Struct):
    """Sums over accounts. Everything that was credited is somewhere: that is conservation."""

    accounts: int = 0
    credited: int = 0
    available: int = 0
    frozen: int = 0
    spent: int = 0
    expired: int = 0
    reversed: int = 0

    def add(self, account: "Account | Totals") -> None:
        """Count in an account, or the totals of several."""
        self.accounts += account.accounts if isinstance(account, Totals) else 1
        self.credited += account.credited
        self.available += account.available
        self.frozen += account.frozen
        self.spent += account.spent
        self.expired += account.expired
        self.reversed += account.reversed

    def conserve(self) -> bool:
        """Whether everything that came in is somewhere."""
        return self.credited == self.available + self.frozen + self.spent + self.expired + self.reversed
