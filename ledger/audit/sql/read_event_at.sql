-- Find the event at a place in the sealed order.
-- Returns: its account and version, or no row.
SELECT events.account_id, events.version
FROM sealed
INNER JOIN events ON sealed.position = events.position
WHERE sealed.seq = %(seq)s
ORDER BY events.account_id
LIMIT 1
