-- How far an export can go: the last tick that the journal holds in full.
-- Returns: one row: the build of the journal, the events, the root of their tree, and when the last of them was sealed;
-- none while nothing is sealed.
SELECT projections.active, last_tick.size, last_tick.root, last_tick.sealed_at
FROM projections
INNER JOIN projection_builds
    ON projections.name = projection_builds.name AND projections.active = projection_builds.build
CROSS JOIN LATERAL (
    SELECT ticks.size, ticks.root, ticks.sealed_at FROM ticks
    WHERE ticks.size <= projection_builds.seq
    ORDER BY ticks.number DESC
    LIMIT 1
) AS last_tick
WHERE projections.name = 'journal' AND last_tick.size > 0
