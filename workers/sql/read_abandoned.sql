-- Read generations whose worker was lost and that will not be tried again: lost too often, or to be cancelled.
-- Returns: one row each, with what ending them needs.
SELECT
    generations.id, generations.account_id, generations.attempt, generations.model, generations.price_version,
    generations.frozen, generations.provider, generations.cancel_requested_at IS NOT NULL
FROM generations
WHERE
    generations.status = 1
    AND generations.lease_until < clock_timestamp()
    -- Workers that live had no chance to extend their leases while the database was down.
    AND pg_postmaster_start_time() < clock_timestamp() - %(lease)s::interval
    AND (generations.lost_attempts >= %(lost_limit)s - 1 OR generations.cancel_requested_at IS NOT NULL)
ORDER BY generations.id
LIMIT %(limit)s
