-- Find open freezes whose time is over, from the sweeper's last mark on.
-- Returns: one row per freeze, those that expired first first.
SELECT freezes.account_id, freezes.id, freezes.expires_at
FROM freezes
WHERE freezes.expires_at > %(mark)s AND freezes.expires_at <= %(now)s AND freezes.state = 0
ORDER BY freezes.expires_at
LIMIT %(limit)s
