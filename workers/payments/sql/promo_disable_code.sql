-- Let nobody redeem a code any more. Doing so again changes nothing.
-- Returns: one row if there is such a code.
UPDATE promo_codes
SET disabled_at = coalesce(promo_codes.disabled_at, now())
WHERE promo_codes.code = %(code)s
RETURNING promo_codes.code
