-- Read where the sealed order ends, and whether the transaction ids in it mean something in this cluster: a tick is native
-- where its row was written by the transaction whose id it holds. In what a restore wrote, one of two of an epoch can be so
-- by chance.
-- Returns: the last tick; `is_native` is nothing where no tick says.
WITH latest AS (
    SELECT ticks.number, ticks.size, ticks.epoch, ticks.root, ticks.snapshot, ticks.xid::xid = ticks.xmin AS is_native
    FROM ticks
    ORDER BY ticks.number DESC
    LIMIT 2
)

SELECT
    latest.number, latest.size, latest.epoch, latest.root, latest.snapshot::text,
    pg_snapshot_xmax(latest.snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
    AND (
        SELECT bool_and(pair.is_native)
        FROM latest AS pair
        WHERE pair.epoch = latest.epoch
    ) AS is_native
FROM latest
ORDER BY latest.number DESC
LIMIT 1
