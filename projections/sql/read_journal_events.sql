-- Read the sealed events that may have an entry, in their order.
-- Returns: one row per event; the day it was recorded on, in UTC, as days since 1970-01-01.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.body, sealed.seq,
    (events.recorded_at AT TIME ZONE 'UTC')::date - date '1970-01-01' AS recorded_day
FROM sealed
INNER JOIN events ON sealed.position = events.position
WHERE
    sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
    AND events.position >= %(first_position)s AND events.position <= %(last_position)s
    AND events.kind <> ALL(%(without_entry)s)
ORDER BY sealed.seq
