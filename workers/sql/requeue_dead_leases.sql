-- Put generations whose worker was lost back into the queue, as long as they have not been lost too often.
-- Returns: what to send.
WITH dead AS (
    SELECT generations.id, generations.account_id, generations.attempt, generations.provider, generations.request_id
    FROM generations
    WHERE
        generations.status = 1
        AND generations.lease_until < clock_timestamp()
        -- Workers that live had no chance to extend their leases while the database was down.
        AND pg_postmaster_start_time() < clock_timestamp() - %(lease)s::interval
        AND generations.lost_attempts < %(lost_limit)s - 1
        AND generations.cancel_requested_at IS NULL
    ORDER BY generations.id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
),

requeued AS (
    UPDATE generations
    SET status = 0, lease_until = NULL, lease_owner = NULL, lost_attempts = generations.lost_attempts + 1
    FROM dead
    WHERE generations.id = dead.id AND generations.account_id = dead.account_id
),

lost AS (
    INSERT INTO generation_attempts (generation_id, account_id, attempt, call, provider, outcome, ended_at)
    SELECT dead.id, dead.account_id, dead.attempt, 0, dead.provider, 'worker_lost', now()
    FROM dead
)

INSERT INTO outbox (generation_id, account_id, due_at, request_id)
SELECT dead.id, dead.account_id, now() + %(resend_after)s::interval, dead.request_id
FROM dead
RETURNING outbox.account_id, outbox.generation_id, outbox.request_id
