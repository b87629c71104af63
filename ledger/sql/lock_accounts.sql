-- Lock the accounts of a batch, in the order of their ids so that two batches never wait for each other in a ring.
-- Returns: the heads of those that exist.
SELECT
    accounts.id, accounts.version, accounts.available, accounts.frozen, accounts.credited, accounts.spent,
    accounts.expired, accounts.reversed, accounts.head, accounts.updated_at
FROM accounts
WHERE accounts.id = ANY(%(ids)s)
ORDER BY accounts.id
FOR UPDATE
