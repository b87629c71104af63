-- Find events that should be sealed: of those at some positions, the ones that a tick saw.
-- Returns: account and version of each.
SELECT events.account_id, events.version
FROM events
WHERE events.position = ANY(%(positions)s) AND pg_visible_in_snapshot(events.xid, %(snapshot)s::pg_snapshot)
ORDER BY events.account_id, events.version
