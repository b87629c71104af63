-- Find where the events of a range of leaves are.
-- Returns: one row: the first of their positions, and the last; nothing in it where none is sealed.
SELECT
    min(places.position),
    max(places.position)
FROM (
    SELECT sealed.position FROM sealed
    WHERE sealed.seq > %(first)s AND sealed.seq <= %(beyond)s
    ORDER BY sealed.seq
    OFFSET 0 -- or it would look through all positions for the first whose seq is in the range
) AS places
