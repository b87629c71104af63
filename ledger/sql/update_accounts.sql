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
FROM unnest(
    %(ids)s, %(versions)s, %(availables)s, %(frozens)s, %(crediteds)s, %(spents)s, %(expireds)s, %(reverseds)s,
    %(hashes)s, %(updated_ats)s
) AS head (id, version, available, frozen, credited, spent, expired, reversed, hash, updated_at)
WHERE accounts.id = head.id
