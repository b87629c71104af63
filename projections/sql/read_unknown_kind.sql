-- Look for the first event of a kind that this code does not know.
-- Returns: its seq and kind, or no row.
SELECT sealed.seq, events.kind
FROM sealed
INNER JOIN events ON sealed.position = events.position
WHERE
    sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
    AND events.position >= %(first_position)s AND events.position <= %(last_position)s
    AND events.kind <> ALL(%(kinds)s)
ORDER BY sealed.seq
LIMIT 1
