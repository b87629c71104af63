-- Read the generations of a batch that have not ended.
-- Returns: one row each with its id.
SELECT generations.id
FROM generation_batch_items
INNER JOIN generations
    ON
        generation_batch_items.generation_id = generations.id
        AND generation_batch_items.account_id = generations.account_id
WHERE
    generation_batch_items.batch_id = %(batch_id)s
    AND generation_batch_items.account_id = %(account_id)s
    AND generations.status < 2
ORDER BY generation_batch_items.ordinal
