-- Read what the leaves of the tree are made from, for a range of leaves.
-- Returns: the hashes of the sealed events in order, one after the other.
SELECT coalesce(string_agg(events.hash, ''::bytea ORDER BY sealed.seq), ''::bytea)
FROM sealed
INNER JOIN events ON sealed.position = events.position
WHERE sealed.seq > %(first)s AND sealed.seq <= %(beyond)s
