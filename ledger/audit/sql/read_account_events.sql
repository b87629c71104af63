-- Read all events of the accounts in a range of ids, account by account in version order.
-- Returns: one row per event, with its place in the sealed order if it has one, and only if it has none, whether the last
--          tick saw it and should have given it one.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.available_after, events.frozen_after,
    events.recorded_at, events.command_key, events.request_digest, events.body, events.hash,
    sealed.seq,
    CASE WHEN sealed.seq IS NULL THEN pg_visible_in_snapshot(events.xid, %(snapshot)s::pg_snapshot) END AS was_visible
FROM events
LEFT JOIN sealed ON events.position = sealed.position
WHERE events.account_id >= %(first)s AND events.account_id <= %(last)s
ORDER BY events.account_id, events.version
