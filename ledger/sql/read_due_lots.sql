-- Find lots whose time is over and in which something remains.
-- Returns: one row per lot, those that expired first first.
SELECT lots.account_id, lots.number
FROM lots
WHERE lots.live AND lots.remaining > 0 AND lots.expires_at IS NOT NULL AND lots.expires_at <= %(now)s
ORDER BY lots.expires_at
LIMIT %(limit)s
