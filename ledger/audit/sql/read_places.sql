-- Read the places in the order of the positions from one on, as far as there may be places and positions.
-- Returns: one row with the positions, rising, and their places, each as big-endian integers of eight bytes, one after the
--          other; nothing if there are none.
SELECT
    string_agg(int8send(page.position), ''::bytea ORDER BY page.position) AS positions,
    string_agg(int8send(page.seq), ''::bytea ORDER BY page.position) AS seqs
FROM (
    SELECT sealed.position, sealed.seq
    FROM sealed
    WHERE
        sealed.position >= %(first)s AND sealed.position < %(beyond)s
        AND sealed.seq >= 1 AND sealed.seq <= %(size)s
    ORDER BY sealed.position
    LIMIT %(limit)s
) AS page
