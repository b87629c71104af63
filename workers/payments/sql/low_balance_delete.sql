-- Tell somebody nothing of their balance any more. There may be nothing to delete.
-- Returns: nothing.
DELETE FROM low_balances
WHERE low_balances.account_id = %(account_id)s
