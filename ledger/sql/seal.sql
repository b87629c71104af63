-- Seal every event that became visible since the last tick, in order of position, as one statement and so one snapshot.
-- An event is new if its transaction was unfinished at the last tick or began after it. Nothing waits for a transaction
-- that is still open: its events come with a later tick.
-- Returns: how many events are sealed by this tick, and in all; no row when there was nothing to seal.
-- Raises:  ticks_pkey, sealed_pkey   another sealer was first; nothing is written
WITH last_tick AS MATERIALIZED (
    SELECT
        ticks.number,
        ticks.size,
        pg_snapshot_xmax(ticks.snapshot) AS xmax,
        ARRAY(SELECT pg_snapshot_xip(ticks.snapshot)) AS open_xids
    FROM ticks
    ORDER BY ticks.number DESC
    LIMIT 1
),

unsealed AS MATERIALIZED (
    SELECT events.position
    FROM events
    WHERE
        (events.xid >= (SELECT last_tick.xmax FROM last_tick)
            OR events.xid = ANY(ARRAY(SELECT unnest(last_tick.open_xids) FROM last_tick)))
        AND pg_visible_in_snapshot(events.xid, pg_current_snapshot())
),

appended AS (
    INSERT INTO sealed (seq, position)
    SELECT last_tick.size + row_number() OVER (ORDER BY unsealed.position), unsealed.position
    FROM unsealed CROSS JOIN last_tick
    RETURNING seq
),

counted AS (
    SELECT count(*) AS added FROM appended
)

INSERT INTO ticks (number, size, snapshot)
SELECT last_tick.number + 1, last_tick.size + counted.added, pg_current_snapshot()
FROM last_tick CROSS JOIN counted
WHERE counted.added > 0
RETURNING size - (SELECT last_tick.size FROM last_tick) AS added, size
