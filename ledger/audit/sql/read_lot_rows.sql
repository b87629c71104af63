-- Read the lots of the accounts in a range of ids.
-- Returns: one row per lot.
SELECT
    lots.account_id, lots.number, lots.id, lots.origin, lots.source, lots.priority, lots.expires_at, lots.amount,
    lots.remaining, lots.frozen, lots.expired, lots.reversed, lots.paid_amount, lots.paid_currency
FROM lots
WHERE lots.account_id >= %(first)s AND lots.account_id <= %(last)s
