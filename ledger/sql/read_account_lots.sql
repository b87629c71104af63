-- Read the lots of an account that hold credits now.
-- Returns: one row per lot, in the order they are spent.
SELECT lots.id, lots.source, lots.remaining, lots.frozen, lots.priority, lots.expires_at
FROM lots
WHERE
    lots.account_id = %(account_id)s AND lots.live
    AND (lots.frozen > 0 OR lots.expires_at IS NULL OR lots.expires_at > %(now)s)
ORDER BY lots.priority, lots.expires_at NULLS LAST, lots.origin IN (1, 4), lots.number
