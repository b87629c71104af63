-- Read lots whose time is over and that have something left that is not frozen.
-- Returns: one row each.
SELECT lots.account_id, lots.number
FROM lots
WHERE lots.live AND lots.remaining > 0 AND lots.expires_at <= %(now)s
ORDER BY lots.expires_at
LIMIT %(limit)s
