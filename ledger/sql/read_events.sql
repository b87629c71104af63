-- Read a page of an account's events in version order, each with its place in the sealed order if it has one yet.
-- Returns: one row per event.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.available_after, events.frozen_after,
    events.recorded_at, events.command_key, events.request_digest, events.body, events.hash, sealed.seq
FROM events
LEFT JOIN sealed ON events.position = sealed.position
WHERE events.account_id = %(account_id)s AND events.version > %(after_version)s
ORDER BY events.version
LIMIT %(limit)s
