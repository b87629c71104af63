-- Count a try as if it failed, where the account has one left in this hour; the hour begins with the first one.
-- Returns: one row if so.
INSERT INTO promo_tries (account_id, begins_at, failed)
VALUES (%(account_id)s, %(now)s, 1)
ON CONFLICT ON CONSTRAINT promo_tries_account DO UPDATE
SET
    begins_at = CASE WHEN promo_tries.begins_at <= %(over_at)s THEN %(now)s ELSE promo_tries.begins_at END,
    failed = CASE WHEN promo_tries.begins_at <= %(over_at)s THEN 1 ELSE promo_tries.failed + 1 END
WHERE promo_tries.failed < %(limit)s OR promo_tries.begins_at <= %(over_at)s
RETURNING promo_tries.failed
