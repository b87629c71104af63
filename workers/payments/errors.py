"""Why a purchase, or a change of what is for sale, is refused. `code` is public API; the message is for people."""

from typing import ClassVar
from uuid import UUID


class PaymentError(Exception):
    """Anything that the shop and what follows from a purchase refuse."""

    code: ClassVar[str] = "payment_error"


class GatewayNotConfigured(PaymentError):
    """There is no such gateway, or this installation has no keys for it."""

    code = "gateway_not_configured"

    def __init__(self, name: str) -> None:
        super().__init__(f"gateway {name[:20]!r} is not configured here")
        self.gateway = name[:20]


class GatewayUnavailable(PaymentError):
    """A gateway cannot be reached, or did not do what it should have done; the same request may succeed soon."""

    code = "gateway_unavailable"

    def __init__(self, gateway: str) -> None:
        super().__init__(f"{gateway} cannot do this at the moment; try again soon")
        self.gateway = gateway


class GatewayRefused(PaymentError):
    """A gateway does not do this, however often it is asked; another one may."""

    code = "gateway_refused"

    def __init__(self, gateway: str) -> None:
        super().__init__(f"{gateway} does not do this; another gateway or currency may")
        self.gateway = gateway


class PackNotFound(PaymentError):
    """There is no such pack, or it is not for sale."""

    code = "pack_not_found"

    def __init__(self, pack: str) -> None:
        super().__init__(f"there is no pack {pack[:100]!r} here")
        self.pack = pack[:100]


class PlanNotFound(PaymentError):
    """There is no such plan, or it is not for sale."""

    code = "plan_not_found"

    def __init__(self, plan: str) -> None:
        super().__init__(f"there is no plan {plan[:100]!r} here")
        self.plan = plan[:100]


class RegionNotFound(PaymentError):
    """There is no such region."""

    code = "region_not_found"

    def __init__(self, region: str) -> None:
        super().__init__(f"there is no region {region[:100]!r} here")
        self.region = region[:100]


class CurrencyNotOffered(PaymentError):
    """Nothing is sold in this currency to this country, or this pack or plan is not."""

    code = "currency_not_offered"

    def __init__(self, currency: str, country: str = "") -> None:
        super().__init__(f"not sold in {currency or 'any currency'}{f' to {country}' if country else ''}")
        self.currency = currency


class PlanNotSoldHere(PaymentError):
    """This gateway cannot collect for the next period of a plan, so it sells packs only."""

    code = "plan_not_sold_here"

    def __init__(self, plan: str, *, gateway: str) -> None:
        super().__init__(f"plan {plan[:100]!r} is not sold through {gateway}, which sells packs only")
        self.plan = plan[:100]
        self.gateway = gateway


class AlreadySubscribed(PaymentError):
    """The account has a plan that goes on; a second one would be paid for beside it."""

    code = "already_subscribed"

    def __init__(self, plan: str) -> None:
        super().__init__(f"the account is on a plan already, {plan!r}; change that one, or end it first")
        self.plan = plan


class CheckoutNotFound(PaymentError):
    """No checkout has this id, or it belongs to someone else."""

    code = "checkout_not_found"

    def __init__(self, checkout_id: UUID) -> None:
        super().__init__(f"no checkout {checkout_id}")
        self.checkout_id = checkout_id


class CheckoutExpired(PaymentError):
    """A checkout that never got to its gateway is too old to go on with; a new one is needed, under another key."""

    code = "checkout_expired"

    def __init__(self, checkout_id: UUID) -> None:
        super().__init__(f"checkout {checkout_id} was never started, and is too old for that now")
        self.checkout_id = checkout_id


class SubscriptionNotFound(PaymentError):
    """The account has no plan, and never had one."""

    code = "subscription_not_found"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"account {account_id} has no subscription")
        self.account_id = account_id


class SubscriptionEnded(PaymentError):
    """The plan has ended, or was never paid for; a checkout begins another one."""

    code = "subscription_ended"

    def __init__(self, status: str) -> None:
        super().__init__(f"the subscription is {status}; a checkout begins another one")
        self.status = status


class PlanUnchanged(PaymentError):
    """The subscription is on this plan already."""

    code = "plan_unchanged"

    def __init__(self, plan: str) -> None:
        super().__init__(f"the subscription is on plan {plan[:100]!r} already")
        self.plan = plan[:100]


class PaymentDeclined(PaymentError):
    """The customer's bank did not let a saved means of payment be charged; nothing has changed."""

    code = "payment_declined"

    def __init__(self, gateway: str) -> None:
        super().__init__(f"{gateway} could not charge the saved means of payment; nothing has changed")
        self.gateway = gateway


class InvalidPack(PaymentError):
    """What a pack is said to be makes no sense."""

    code = "invalid_pack"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class InvalidPlan(PaymentError):
    """What a plan is said to be makes no sense."""

    code = "invalid_plan"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class InvalidRegion(PaymentError):
    """What a region is said to be makes no sense, or would change what was priced in it."""

    code = "invalid_region"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class PromoCodeNotFound(PaymentError):
    """There is no such promo code, or none any more."""

    code = "promo_code_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such promo code")


class PromoCodeExpired(PaymentError):
    """The time of a promo code is over."""

    code = "promo_code_expired"

    def __init__(self) -> None:
        super().__init__("this promo code could be redeemed until some time ago")


class PromoCodeUsedUp(PaymentError):
    """A promo code was redeemed as often as it may be."""

    code = "promo_code_used_up"

    def __init__(self) -> None:
        super().__init__("this promo code was redeemed as often as it may be")


class PromoCodeRedeemed(PaymentError):
    """An account redeems a promo code once, and this one has."""

    code = "promo_code_redeemed"

    def __init__(self) -> None:
        super().__init__("this account has redeemed this promo code already")


class TooManyPromoCodes(PaymentError):
    """An account tried too many promo codes that bring nothing."""

    code = "too_many_promo_codes"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many promo codes that bring nothing; try again later")
        self.retry_after_s = retry_after_s


class PromoCodeExists(PaymentError):
    """There is a promo code of this name, perhaps a disabled one; what it brings never changes."""

    code = "promo_code_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a promo code {name!r} already, perhaps a disabled one")


class InvalidPromoCode(PaymentError):
    """What is to be a promo code cannot be one."""

    code = "invalid_promo_code"

    def __init__(self, reason: str) -> None:
        super().__init__(f"a promo code {reason}")


class AutoTopUpNotFound(PaymentError):
    """The account tops nothing up by itself."""

    code = "auto_top_up_not_found"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"account {account_id} has no automatic top-up")
        self.account_id = account_id


class InvalidAutoTopUp(PaymentError):
    """What an automatic top-up is to be makes no sense."""

    code = "invalid_auto_top_up"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class SavedMethodMissing(PaymentError):
    """The gateway keeps no means of payment of this account that could be charged."""

    code = "saved_method_missing"

    def __init__(self, gateway: str) -> None:
        super().__init__(f"{gateway[:20]} keeps no means of payment of this account; buy a pack with save_method first")
        self.gateway = gateway[:20]
