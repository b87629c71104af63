-- How far every build of every projection is.
-- Returns: one row per build: name, build, whether it is read, how far it is, how many events are sealed, and why it
-- halted, if it did.
SELECT
    projection_builds.name, projection_builds.build, projections.active = projection_builds.build AS is_active,
    projection_builds.seq,
    (
        SELECT ticks.size FROM ticks
        ORDER BY ticks.number DESC
        LIMIT 1
    ) AS sealed,
    projection_builds.halted_seq, projection_builds.halt_reason, projection_builds.halted_at,
    projection_builds.updated_at
FROM projection_builds
INNER JOIN projections ON projection_builds.name = projections.name
ORDER BY projection_builds.name, projections.active <> projection_builds.build
