-- Read items of a batch in their order, those that were decided.
-- Returns: at most `limit` rows: ordinal, problem, and the generation's id and status.
SELECT
    generation_batch_items.ordinal, generation_batch_items.problem, generation_batch_items.generation_id,
    generations.status
FROM generation_batch_items
LEFT JOIN generations
    ON
        generation_batch_items.generation_id = generations.id
        AND generation_batch_items.account_id = generations.account_id
WHERE
    generation_batch_items.batch_id = %(batch_id)s
    AND generation_batch_items.account_id = %(account_id)s
    AND generation_batch_items.ordinal >= %(from_ordinal)s
ORDER BY generation_batch_items.ordinal
LIMIT %(limit)s
