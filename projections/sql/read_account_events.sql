-- Read some events of one account in version order.
-- Returns: one row per event, as `event_of_row` reads it.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.available_after, events.frozen_after,
    events.recorded_at, events.command_key, events.request_digest, events.body, events.hash
FROM events
WHERE
    events.account_id = %(account_id)s
    AND events.version > %(after_version)s AND events.version <= %(upto_version)s
ORDER BY events.version
