-- Read the reversals of the accounts in a range of ids.
-- Returns: one row per reversal.
SELECT
    reversals.account_id, reversals.version, reversals.lot_number, reversals.amount, reversals.draws,
    reversals.already_expired, reversals.debt, reversals.reinstated
FROM reversals
WHERE reversals.account_id >= %(first)s AND reversals.account_id <= %(last)s
