-- Extend the leases of everything one worker runs, also those that ran out while nobody took over.
-- Rows that are being settled are skipped instead of waited for, so this never takes part in a deadlock.
-- Returns: the id of each extended generation, and whether it is to be cancelled.
WITH held AS (
    SELECT generations.id, generations.account_id
    FROM generations
    INNER JOIN unnest(%(ids)s::uuid[], %(account_ids)s::uuid[], %(attempts)s::integer[])
        AS mine (id, account_id, attempt)
        ON
            generations.id = mine.id
            AND generations.account_id = mine.account_id
            AND generations.attempt = mine.attempt
    WHERE generations.status = 1
    FOR UPDATE OF generations SKIP LOCKED
)

UPDATE generations
SET lease_until = clock_timestamp() + %(lease)s::interval
FROM held
WHERE generations.id = held.id AND generations.account_id = held.account_id
RETURNING generations.id, generations.cancel_requested_at IS NOT NULL
