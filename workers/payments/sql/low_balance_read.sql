-- Read below which balance somebody wants to be told, and when that was.
-- Returns: at most one row.
SELECT low_balances.threshold, low_balances.told_at
FROM low_balances
WHERE low_balances.account_id = %(account_id)s
