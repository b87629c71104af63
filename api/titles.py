"""What the problems are called, in the language of whoever asked. The codes stay as they are, and so does `detail`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from workers.messages.catalogues import translated
from workers.messages.languages import DEFAULT, LANGUAGES
from workers.messages.texts import Text

CONTEXT: Final = "problem"

TITLE_OF_CODE: Final[Mapping[str, str]] = {
    # 400
    "malformed_request": "The request cannot be read",
    "invalid_cursor": "Unknown cursor",
    "malformed_cursor": "The cursor cannot be read",
    "idempotency_key_required": "An idempotency key is needed",
    "invalid_signature": "The signature is not valid",
    "stale_webhook": "The webhook is too old",
    # 401, 403, 404, 405, 413, 415
    "unauthenticated": "Please sign in",
    "forbidden": "Not allowed",
    "not_found": "Not found",
    "account_not_found": "Account not found",
    "freeze_not_found": "Freeze not found",
    "lot_not_found": "Lot not found",
    "reversal_not_found": "Reversal not found",
    "generation_not_found": "Generation not found",
    "batch_not_found": "Batch not found",
    "model_not_found": "Model not found",
    "media_not_found": "File not found",
    "url_not_valid": "The link is not valid",
    "tier_required": "Not included in your tier",
    "template_not_found": "Template not found",
    "session_not_found": "Conversation not found",
    "pack_not_found": "Pack not found",
    "plan_not_found": "Plan not found",
    "region_not_found": "Region not found",
    "checkout_not_found": "Checkout not found",
    "subscription_not_found": "There is no subscription",
    "promo_code_not_found": "Promo code not found",
    "auto_top_up_not_found": "There is no automatic top-up",
    "contact_not_found": "No contact is known",
    "method_not_allowed": "Method not allowed",
    "body_too_large": "The request is too large",
    "unsupported_media_type": "The request must be JSON",
    # 402
    "insufficient_credits": "Not enough credits",
    "account_in_debt": "The account owes credits",
    "payment_declined": "The payment was declined",
    # 409, 412, 416
    "freeze_already_resolved": "The freeze is already resolved",
    "freeze_exists": "The freeze exists already",
    "freeze_not_expired": "The freeze has not expired yet",
    "lot_not_expirable": "The lot cannot expire now",
    "request_in_progress": "The request is still running",
    "rider_refused": "Something else came first",
    "generation_not_retryable": "The generation cannot be retried",
    "secret_not_replayable": "The secret cannot be shown again",
    "upload_missing": "The upload has not arrived",
    "transfer_not_offered": "The transfer is not offered",
    "object_exists": "The file exists already",
    "range_not_satisfiable": "The file has no such range",
    "session_busy": "The conversation is busy",
    "subscription_ended": "The subscription has ended",
    "plan_unchanged": "The plan is the same already",
    "checkout_expired": "The checkout has expired",
    "promo_code_expired": "The promo code has expired",
    "promo_code_used_up": "The promo code is used up",
    "promo_code_redeemed": "The promo code was redeemed already",
    "promo_code_exists": "The promo code exists already",
    "saved_method_missing": "There is no saved means of payment",
    "already_subscribed": "There is a subscription already",
    # 422
    "invalid_request": "The request is not valid",
    "ambiguous_point": "The point in time is ambiguous",
    "invalid_amount": "The amount is not valid",
    "invalid_text": "The text is not valid",
    "invalid_command_key": "The command key is not valid",
    "out_of_range": "A value is out of range",
    "amount_exceeds_freeze": "The amount exceeds the freeze",
    "amount_exceeds_top_up": "The amount exceeds the top-up",
    "balance_limit_exceeded": "The balance would be too large",
    "idempotency_key_reused": "The idempotency key was used before",
    "invalid_idempotency_key": "The idempotency key is not valid",
    "invalid_input": "The input is not valid",
    "input_too_long": "The input is too long",
    "invalid_model": "The model is not valid",
    "invalid_price": "The price is not valid",
    "media_type_not_allowed": "This type of file is not allowed",
    "media_too_large": "The file is too large",
    "media_not_stored": "The file is not stored",
    "upload_mismatch": "The upload is not what was announced",
    "invalid_template": "The template is not valid",
    "gateway_not_configured": "This means of payment is not available",
    "gateway_refused": "The payment provider declined",
    "currency_not_offered": "This currency is not offered",
    "plan_not_sold_here": "The plan is not sold this way",
    "invalid_pack": "The pack is not valid",
    "invalid_plan": "The plan is not valid",
    "invalid_region": "The region is not valid",
    "invalid_contact": "The contact is not valid",
    "invalid_promo_code": "The promo code is not valid",
    "invalid_auto_top_up": "The automatic top-up is not valid",
    # 429
    "too_many_promo_codes": "Too many promo codes tried",
    # 500, 503
    "internal_error": "Something went wrong on our side",
    "contended": "Too much at once",
    "dependency_unavailable": "Temporarily unavailable",
    "media_store_unavailable": "Files are temporarily unavailable",
    "gateway_unavailable": "The payment provider is temporarily unavailable",
}


# Read as the process begins: the first answer in a language must not wait for its catalogue, nor fail with it.
_TITLES: Final = {
    (code, language): translated(Text(title, context=CONTEXT), language)
    for code, title in TITLE_OF_CODE.items()
    for language in LANGUAGES
}


def title_of(code: str, *, status: int, language: str = DEFAULT) -> str:
    """Return what a problem is called; a code without a title is called as its status is, in English."""
    return _TITLES.get((code, language)) or HTTPStatus(status).phrase
