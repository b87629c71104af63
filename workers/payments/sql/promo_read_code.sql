-- Read a code, and what an account got for it.
-- Returns: at most one row: as `PromoCode` reads it, then credits, expiry and key of the redemption, null where there is none.
SELECT
    promo_codes.code, promo_codes.credits, promo_codes.max_uses, promo_codes.uses, promo_codes.expires_at,
    promo_codes.credits_expire_after_days, promo_codes.disabled_at, promo_codes.created_at, promo_codes.created_by,
    promo_redemptions.credits AS redeemed_credits, promo_redemptions.expires_at AS redeemed_expires_at,
    promo_redemptions.idempotency_sha256
FROM promo_codes
LEFT JOIN promo_redemptions
    ON promo_codes.code = promo_redemptions.code AND promo_redemptions.account_id = %(account_id)s
WHERE promo_codes.code = %(code)s
