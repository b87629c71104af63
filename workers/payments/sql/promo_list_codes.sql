-- Read codes in their order.
-- Returns: at most `limit` rows, as `PromoCode` reads them.
SELECT
    promo_codes.code, promo_codes.credits, promo_codes.max_uses, promo_codes.uses, promo_codes.expires_at,
    promo_codes.credits_expire_after_days, promo_codes.disabled_at, promo_codes.created_at, promo_codes.created_by
FROM promo_codes
WHERE promo_codes.code > %(after)s
ORDER BY promo_codes.code
LIMIT %(limit)s
