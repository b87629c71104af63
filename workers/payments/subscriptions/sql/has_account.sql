-- See whether there is such an account.
-- Returns: one row if so.
SELECT 1 AS found FROM accounts
WHERE accounts.id = %(account_id)s
