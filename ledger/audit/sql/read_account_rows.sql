-- Read the heads of the accounts in a range of ids.
-- Returns: one row per account.
SELECT
    accounts.id, accounts.version, accounts.available, accounts.frozen, accounts.credited, accounts.spent,
    accounts.expired, accounts.reversed, accounts.head, accounts.owner, accounts.name
FROM accounts
WHERE accounts.id >= %(first)s AND accounts.id <= %(last)s
