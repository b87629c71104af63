-- How far the sealer is behind.
-- Returns: seconds since the oldest event that the last tick did not cover, or nothing if all are sealed.
SELECT extract(EPOCH FROM clock_timestamp() - min(recent.recorded_at))::double precision
FROM (
    SELECT events.position, events.recorded_at
    FROM events
    WHERE
        events.xid >= (
            SELECT pg_snapshot_xmax(ticks.snapshot)
            FROM ticks
            ORDER BY ticks.number DESC
            LIMIT 1
        )
    ORDER BY events.xid
    LIMIT 1
) AS recent
