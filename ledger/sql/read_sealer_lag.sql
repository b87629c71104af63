-- How far the sealer is behind.
-- Returns: seconds since the oldest event that could be sealed and is not, or nothing if there is none.
SELECT extract(EPOCH FROM clock_timestamp() - min(oldest.recorded_at))::double precision
FROM (
    SELECT
        pg_snapshot_xmax(ticks.snapshot) AS xmax,
        ARRAY(SELECT pg_snapshot_xip(ticks.snapshot)) AS open_xids
    FROM ticks
    ORDER BY ticks.number DESC
    LIMIT 1
) AS last_tick
CROSS JOIN LATERAL (
    -- Begun after the last tick: the first of them is the oldest. Above what is visible now are only transaction ids that
    -- came with a restore; those below that did are sealed.
    (
        SELECT events.recorded_at
        FROM events
        WHERE
            events.xid >= last_tick.xmax AND events.xid < pg_snapshot_xmax(pg_current_snapshot())
            AND (
            SELECT sealed.seq
            FROM sealed
            WHERE sealed.position = events.position
        ) IS NULL
        ORDER BY events.xid
        LIMIT 1
    )
    UNION ALL
    -- Unfinished at the last tick, and committed since.
    SELECT events.recorded_at
    FROM events
    WHERE
        events.xid = ANY(last_tick.open_xids)
        AND (
            SELECT sealed.seq
            FROM sealed
            WHERE sealed.position = events.position
        ) IS NULL
) AS oldest
