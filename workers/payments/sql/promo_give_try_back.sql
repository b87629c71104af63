-- Count a try no longer: it was no guess.
-- Returns: nothing.
UPDATE promo_tries
SET failed = greatest(promo_tries.failed - 1, 0)
WHERE promo_tries.account_id = %(account_id)s
