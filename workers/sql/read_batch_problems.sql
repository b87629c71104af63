-- Read the items of a batch that were refused.
-- Returns: one row each: its ordinal and the problem.
SELECT generation_batch_items.ordinal, generation_batch_items.problem
FROM generation_batch_items
WHERE
    generation_batch_items.batch_id = %(batch_id)s
    AND generation_batch_items.account_id = %(account_id)s
    AND generation_batch_items.problem IS NOT NULL
