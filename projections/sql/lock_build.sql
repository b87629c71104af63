-- Lock one build of a projection, so that only one runner works on it.
-- Returns: how far it is and how long ago it halted, in seconds, if it did; no row if there is no such build.
SELECT
    projection_builds.seq,
    extract(EPOCH FROM clock_timestamp() - projection_builds.halted_at)::double precision AS halted_for_s
FROM projection_builds
WHERE projection_builds.name = %(name)s AND projection_builds.build = %(build)s
FOR UPDATE
