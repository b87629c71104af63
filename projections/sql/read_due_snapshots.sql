-- Find where accounts pass a multiple of `interval` events, and the events of kinds that are not known.
-- Returns: one row per such event, in the sealed order.
SELECT events.account_id, events.version, sealed.seq, events.kind
FROM sealed
INNER JOIN events ON sealed.position = events.position
WHERE
    sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
    AND events.position >= %(first_position)s AND events.position <= %(last_position)s
    AND (mod(events.version, %(interval)s) = 0 OR events.kind <> ALL(%(kinds)s))
ORDER BY sealed.seq
