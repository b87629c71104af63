-- Read when the hour began in which an account tried too many codes.
-- Returns: at most one row.
SELECT promo_tries.begins_at
FROM promo_tries
WHERE promo_tries.account_id = %(account_id)s
