-- Look for the first event of a kind that this code does not know.
-- Returns: its seq and kind, or no row.
WITH unknown AS MATERIALIZED ( -- or it would look up event by event, in the order of seq, for one that is not there
    SELECT events.position, events.kind
    FROM events
    WHERE
        events.position >= %(first_position)s AND events.position <= %(last_position)s
        AND events.kind <> ALL(%(kinds)s::smallint[])
)

SELECT sealed.seq, unknown.kind
FROM unknown
INNER JOIN sealed ON unknown.position = sealed.position
WHERE sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
ORDER BY sealed.seq
LIMIT 1
