-- Seal what became visible since the last tick, in order of position, up to a limit.
-- An event is new if its transaction was unfinished at the last tick or began after it. Nothing waits for a transaction
-- that is still open: its events come with a later tick. Events that came with a restore have ids of another cluster, which
-- may fall between: they are sealed already.
-- Returns: whether the last tick is the one given (if not, nothing was sealed), how many events were sealed, the highest
--          position, their hashes in order, and what is visible to this transaction.
-- Raises:  sealed_pkey, sealed_position_key   another sealer was first; nothing is written
WITH unsealed AS MATERIALIZED (
    SELECT recent.position, recent.hash
    FROM (
        SELECT events.position, events.hash
        FROM events
        WHERE
            events.xid >= pg_snapshot_xmax(%(snapshot)s::pg_snapshot)
            AND events.xid < pg_snapshot_xmax(pg_current_snapshot())
        UNION ALL
        SELECT events.position, events.hash
        FROM events
        WHERE events.xid = ANY(ARRAY(SELECT pg_snapshot_xip(%(snapshot)s::pg_snapshot)))
    ) AS recent
    WHERE
        (SELECT max(ticks.number) FROM ticks) = %(number)s
        -- As a value and not as a join, so that no plan ever reads all that is sealed.
        AND (
            SELECT sealed.seq
            FROM sealed
            WHERE sealed.position = recent.position
        ) IS NULL
    ORDER BY recent.position
    LIMIT %(limit)s
),

appended AS (
    INSERT INTO sealed (seq, position)
    SELECT %(size)s + row_number() OVER (ORDER BY unsealed.position), unsealed.position
    FROM unsealed
)

SELECT
    (SELECT max(ticks.number) FROM ticks) = %(number)s, count(*), max(unsealed.position),
    coalesce(string_agg(unsealed.hash, ''::bytea ORDER BY unsealed.position), ''::bytea), pg_current_snapshot()::text
FROM unsealed
