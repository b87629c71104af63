-- Count the snapshots in which two builds differ, up to the event that both have.
-- Returns: one row.
WITH both_have AS (
    SELECT min(projection_builds.seq) AS seq FROM projection_builds
    WHERE projection_builds.name = %(name)s
),

old_rows AS (
    SELECT
        balance_snapshots.account_id, balance_snapshots.version, balance_snapshots.seq,
        balance_snapshots.due_version, balance_snapshots.recorded_at, balance_snapshots.state
    FROM balance_snapshots
    WHERE balance_snapshots.build = %(old)s AND balance_snapshots.seq <= (SELECT both_have.seq FROM both_have)
),

new_rows AS (
    SELECT
        balance_snapshots.account_id, balance_snapshots.version, balance_snapshots.seq,
        balance_snapshots.due_version, balance_snapshots.recorded_at, balance_snapshots.state
    FROM balance_snapshots
    WHERE balance_snapshots.build = %(new)s AND balance_snapshots.seq <= (SELECT both_have.seq FROM both_have)
),

differences AS (
    (
        SELECT * FROM old_rows
        EXCEPT ALL
        SELECT * FROM new_rows
    )
    UNION ALL
    (
        SELECT * FROM new_rows
        EXCEPT ALL
        SELECT * FROM old_rows
    )
)

SELECT count(*) FROM differences
