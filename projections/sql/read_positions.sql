-- Find where the events of a batch are.
-- Returns: one row: the first of their positions, and the last.
WITH places AS MATERIALIZED ( -- or it would look through all positions for the first whose seq is in the batch
    SELECT sealed.position FROM sealed
    WHERE sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
)

SELECT
    min(places.position),
    max(places.position)
FROM places
