-- Move the heads of accounts to the last event of a batch.
-- Returns: nothing; the row count is the number of accounts.
-- Raises:  accounts_conservation, accounts_frozen, accounts_counters   only a bug can
UPDATE accounts
SET
    version = head.version,
    available = head.available,
    frozen = head.frozen,
    credited = head.credited,
    spent = head.spent,
    expired = head.expired,
    reversed = head.reversed,
    head = head.hash,
    updated_at = head.updated_at
FROM (
    SELECT
        unnest(%(ids)s) AS id,
        unnest(%(versions)s) AS version,
        unnest(%(availables)s) AS available,
        unnest(%(frozens)s) AS frozen,
        unnest(%(crediteds)s) AS credited,
        unnest(%(spents)s) AS spent,
        unnest(%(expireds)s) AS expired,
        unnest(%(reverseds)s) AS reversed,
        unnest(%(hashes)s) AS hash,
        unnest(%(updated_ats)s) AS updated_at
) AS head
WHERE accounts.id = head.id
