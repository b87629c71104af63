-- Count that a code was redeemed.
-- Returns: nothing.
-- Raises:  promo_codes_uses   that is more often than it may be: somebody else did so in the same batch
UPDATE promo_codes
SET uses = promo_codes.uses + 1
WHERE promo_codes.code = %(code)s
