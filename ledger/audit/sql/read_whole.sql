-- Read what the database says of itself as a whole.
-- Returns: the last tick's size, root and snapshot (nothing where its transaction ids mean nothing here), and counts.
SELECT
    last_tick.size, last_tick.root,
    CASE WHEN last_tick.xid::xid = last_tick.tick_xmin THEN last_tick.snapshot::text END AS snapshot,
    (SELECT count(*) FROM ticks) - 1 - last_tick.number AS ticks_missing,
    (SELECT count(*) FROM sealed) AS sealed,
    (SELECT count(*) FROM freezes) AS freezes,
    (SELECT count(*) FROM tiles) AS tiles
FROM (
    SELECT ticks.number, ticks.size, ticks.root, ticks.snapshot, ticks.xid, ticks.xmin AS tick_xmin
    FROM ticks
    ORDER BY ticks.number DESC
    LIMIT 1
) AS last_tick
