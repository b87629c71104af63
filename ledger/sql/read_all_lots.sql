-- Read every lot of accounts whose top-ups are being reversed or reinstated, after the accounts are locked.
-- Returns: one row per lot.
SELECT
    lots.account_id, lots.number, lots.id, lots.origin, lots.source, lots.priority, lots.expires_at, lots.amount,
    lots.remaining, lots.frozen, lots.expired, lots.reversed
FROM lots
WHERE lots.account_id = ANY(%(ids)s)
