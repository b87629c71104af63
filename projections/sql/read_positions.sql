-- Find where the events of a batch are.
-- Returns: one row: the first of their positions, and the last.
SELECT
    min(places.position),
    max(places.position)
FROM (
    SELECT sealed.position FROM sealed
    WHERE sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
    ORDER BY sealed.seq
    OFFSET 0 -- or it would look through all positions for the first whose seq is in the batch
) AS places
