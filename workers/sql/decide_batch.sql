-- Record the items of a batch that were refused, and that all are decided; what was recorded before stays.
-- Returns: nothing.
WITH refused AS (
    INSERT INTO generation_batch_items (batch_id, account_id, ordinal, problem)
    SELECT %(batch_id)s, %(account_id)s, given.ordinal, given.problem
    FROM unnest(%(ordinals)s::smallint[], %(problems)s::bytea[]) AS given (ordinal, problem)
    ON CONFLICT DO NOTHING
)

UPDATE generation_batches
SET decided_at = clock_timestamp()
WHERE
    generation_batches.id = %(batch_id)s
    AND generation_batches.account_id = %(account_id)s
    AND generation_batches.decided_at IS NULL
