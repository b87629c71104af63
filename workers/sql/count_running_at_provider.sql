-- Count what runs at a provider by Postgres alone, where Redis cannot say; the caller holds the provider's lock.
-- Returns: one row with the number, with what the caller's own transaction has claimed.
SELECT count(*)
FROM generations
WHERE generations.status = 1 AND generations.provider = %(provider)s
