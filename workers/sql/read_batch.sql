-- Read a batch, and how many of its items are where; with an account, only if it is this account's.
-- Returns: at most one row.
SELECT
    generation_batches.id, generation_batches.account_id, generation_batches.created_at, generation_batches.total,
    generation_batches.decided_at IS NOT NULL,
    counted.queued, counted.running, counted.completed, counted.cancelled, counted.failed, counted.refused
FROM generation_batches
CROSS JOIN LATERAL ( -- noqa: ST05
    SELECT
        count(*) FILTER (WHERE generations.status = 0) AS queued,
        count(*) FILTER (WHERE generations.status = 1) AS running,
        count(*) FILTER (WHERE generations.status = 2) AS completed,
        count(*) FILTER (WHERE generations.status = 3) AS cancelled,
        count(*) FILTER (WHERE generations.status = 4) AS failed,
        count(generation_batch_items.problem) AS refused
    FROM generation_batch_items
    LEFT JOIN generations
        ON
            generation_batch_items.generation_id = generations.id
            AND generation_batch_items.account_id = generations.account_id
    WHERE
        generation_batch_items.batch_id = generation_batches.id
        AND generation_batch_items.account_id = generation_batches.account_id
) AS counted
WHERE
    generation_batches.id = %(id)s
    AND (%(account_id)s::uuid IS NULL OR generation_batches.account_id = %(account_id)s)
