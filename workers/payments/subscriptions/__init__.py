"""Plans that are paid for period by period."""

from workers.payments.subscriptions.expecting import expected_payment
from workers.payments.subscriptions.noting import UnknownSubscription, note_subscription

__all__ = ["UnknownSubscription", "expected_payment", "note_subscription"]
