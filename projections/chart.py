"""The chart of accounts. docs/accounting.md says what each is for and what every event enters."""

from enum import IntEnum
from typing import Final

CREDIT: Final = "CREDIT"
"""The commodity of entries about credits themselves, beside those in the currencies that were paid."""

FIRST_UNIT_ACCOUNT: Final = 9000
"""Accounts from here on hold credits and no money; those below hold money and no credits."""


class LedgerAccount(IntEnum):
    """One account of the chart, by the number it is stored under. Numbers are never reused."""

    payment_clearing = 1000
    refunds_paid = 1010
    chargebacks_taken = 1020
    contract_liability = 2000
    refund_liability = 2100
    expired_liability = 2200
    usage = 4000
    breakage = 4100
    promotional_use = 4800
    promotional_discount = 4900
    promotion_expense = 6000
    promotion_absorbed = 6010
    chargeback_loss = 6100
    write_off = 6200
    credits_owed = 9100
    credits_held = 9200
    credits_bought = 9300
    credits_granted = 9310
    credits_used = 9320
    credits_expired = 9330
    credits_refunded = 9340
    credits_adjusted = 9350


NAME_OF_ACCOUNT: Final[dict[LedgerAccount, str]] = {
    LedgerAccount.payment_clearing: "Assets:Clearing:Payments",
    LedgerAccount.refunds_paid: "Assets:Clearing:Refunds",
    LedgerAccount.chargebacks_taken: "Assets:Clearing:Chargebacks",
    LedgerAccount.contract_liability: "Liabilities:Contract",
    LedgerAccount.refund_liability: "Liabilities:Refunds",
    LedgerAccount.expired_liability: "Liabilities:ExpiredCredits",
    LedgerAccount.usage: "Income:Usage",
    LedgerAccount.breakage: "Income:Breakage",
    LedgerAccount.promotional_use: "Income:PromotionalUse",
    LedgerAccount.promotional_discount: "Income:PromotionalDiscount",
    LedgerAccount.promotion_expense: "Expenses:Promotions",
    LedgerAccount.promotion_absorbed: "Expenses:PromotionsAbsorbed",
    LedgerAccount.chargeback_loss: "Expenses:Chargebacks",
    LedgerAccount.write_off: "Expenses:WriteOffs",
    LedgerAccount.credits_owed: "Assets:CreditsOwed",
    LedgerAccount.credits_held: "Liabilities:Credits",
    LedgerAccount.credits_bought: "Equity:Credits:Bought",
    LedgerAccount.credits_granted: "Equity:Credits:Granted",
    LedgerAccount.credits_used: "Equity:Credits:Used",
    LedgerAccount.credits_expired: "Equity:Credits:Expired",
    LedgerAccount.credits_refunded: "Equity:Credits:Refunded",
    LedgerAccount.credits_adjusted: "Equity:Credits:Adjusted",
}
