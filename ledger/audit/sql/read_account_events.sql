-- Read all events of the accounts in a range of ids, account by account in version order.
-- Returns: one row per event.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.available_after, events.frozen_after,
    events.recorded_at, events.command_key, events.request_digest, events.body, events.hash,
    events.position
FROM events
WHERE events.account_id >= %(first)s AND events.account_id <= %(last)s
ORDER BY events.account_id, events.version
