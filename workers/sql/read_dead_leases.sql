-- Read generations whose worker was lost: nobody has extended their lease.
-- Returns: one row each, with what recording the loss, trying again or ending them needs.
SELECT
    generations.id, generations.account_id, generations.attempt, generations.model, generations.price_version,
    generations.frozen, generations.provider, generations.max_output_tokens, generations.lost_attempts,
    generations.cancel_requested_at IS NOT NULL, generations.tier, generations.request_id,
    generation_requests.body, generations.created_at, generations.input_length
FROM generations
INNER JOIN generation_requests
    ON
        generations.id = generation_requests.generation_id
        AND generations.account_id = generation_requests.account_id
WHERE
    generations.status = 1
    AND generations.lease_until < clock_timestamp()
    -- Workers that live had no chance to extend their leases while the database was down.
    AND pg_postmaster_start_time() < clock_timestamp() - %(lease)s::interval
ORDER BY generations.id
LIMIT %(limit)s
