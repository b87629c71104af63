-- Read all events of the accounts in a range of ids, account by account in version order.
-- Returns: one row per event; where somebody took away its hash or position, an empty one or a negative one.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.available_after, events.frozen_after,
    events.recorded_at, events.command_key, events.request_digest, events.body,
    coalesce(events.hash, ''::bytea) AS hash,
    coalesce(events.position, -1) AS position
FROM events
WHERE events.account_id >= %(first)s AND events.account_id <= %(last)s
ORDER BY events.account_id, events.version
