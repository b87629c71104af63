-- Seal what is visible and not sealed in a window of positions, whatever its transaction id: for what one statement cannot
-- take at once, and where transaction ids say nothing.
-- Returns: how many events were sealed, their hashes in order, the position after which the next window begins (nothing
--          after the last), and what is visible to this transaction.
-- Raises:  sealed_pkey, sealed_position_key   another sealer was first; nothing is written
WITH unsealed AS MATERIALIZED (
    SELECT events.position, events.hash
    FROM events
    WHERE
        events.position > %(after)s AND events.position <= %(upto)s
        AND (
            SELECT sealed.seq
            FROM sealed
            WHERE sealed.position = events.position
        ) IS NULL
),

appended AS (
    INSERT INTO sealed (seq, position)
    SELECT %(size)s + row_number() OVER (ORDER BY unsealed.position), unsealed.position
    FROM unsealed
)

SELECT
    count(*), coalesce(string_agg(unsealed.hash, ''::bytea ORDER BY unsealed.position), ''::bytea),
    (
        SELECT min(events.position) - 1
        FROM events
        WHERE events.position > %(upto)s
    ), pg_current_snapshot()::text
FROM unsealed
