-- Read single events of one account by their versions.
-- Returns: one row per event, as `event_of_row` reads it.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.available_after, events.frozen_after,
    events.recorded_at, events.command_key, events.request_digest, events.body, events.hash
FROM events
WHERE events.account_id = %(account_id)s AND events.version = ANY(%(versions)s::bigint[])
ORDER BY events.version
