-- Read the events of the accounts in a range of ids up to a time or a place in the sealed order, account by account in
-- version order.
-- Returns: one row per event.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.available_after, events.frozen_after,
    events.recorded_at, events.command_key, events.request_digest, events.body, events.hash
FROM events
LEFT JOIN sealed ON events.position = sealed.position
WHERE
    events.account_id >= %(first)s AND events.account_id <= %(last)s
    AND (%(at)s::timestamptz IS NULL OR events.recorded_at <= %(at)s)
    AND (%(seq)s::bigint IS NULL OR sealed.seq <= %(seq)s)
ORDER BY events.account_id, events.version
