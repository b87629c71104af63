-- Read what an account can spend; in a statement after the one that locks, for that may have waited for a top-up.
-- Returns: one row.
SELECT accounts.available
FROM accounts
WHERE accounts.id = %(account_id)s
