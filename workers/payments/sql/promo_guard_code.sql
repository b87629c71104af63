-- See that a code can be redeemed once more, and that nobody else does so meanwhile.
-- Returns: one row if so.
SELECT promo_codes.code
FROM promo_codes
WHERE
    promo_codes.code = %(code)s
    AND promo_codes.uses < promo_codes.max_uses
    AND promo_codes.disabled_at IS NULL
    AND (promo_codes.expires_at IS NULL OR promo_codes.expires_at > %(now)s)
FOR UPDATE
