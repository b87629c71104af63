-- See whether there is such an account, and wait until nobody writes to the ledger for it.
-- Returns: one row if so.
SELECT accounts.id
FROM accounts
WHERE accounts.id = %(account_id)s
FOR KEY SHARE
