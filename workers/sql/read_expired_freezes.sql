-- Read open freezes whose time is over.
-- Returns: one row each.
SELECT freezes.account_id, freezes.id
FROM freezes
WHERE freezes.state = 0 AND freezes.expires_at <= %(now)s
ORDER BY freezes.expires_at
LIMIT %(limit)s
