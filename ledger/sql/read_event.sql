-- Find one event by its account and version, or by its place in the sealed order; the other one is nothing.
-- Returns: the event, its seq if it is sealed, and the hash of its predecessor if it has one.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.available_after, events.frozen_after,
    events.recorded_at, events.command_key, events.request_digest, events.body, events.hash,
    (
        SELECT sealed.seq
        FROM sealed
        WHERE sealed.position = events.position
    ) AS seq,
    (
        SELECT previous.hash
        FROM events AS previous
        WHERE previous.account_id = events.account_id AND previous.version = events.version - 1
    ) AS previous_hash
FROM events
WHERE
    events.account_id = %(account_id)s AND events.version = %(version)s
    OR events.position = (
        SELECT sealed.position
        FROM sealed
        WHERE sealed.seq = %(seq)s
    )
