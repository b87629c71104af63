-- Read the reversals that a batch reinstates, after their accounts are locked.
-- Returns: one row per reversal that exists.
SELECT
    reversals.account_id, reversals.version, reversals.lot_number, reversals.amount, reversals.draws,
    reversals.already_expired, reversals.debt, reversals.reinstated
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(versions)s) AS version
) AS wanted
INNER JOIN reversals ON wanted.account_id = reversals.account_id AND wanted.version = reversals.version
