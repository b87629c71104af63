-- How far a build of a projection is.
-- Returns: one row, or none if there is no such build.
SELECT projection_builds.seq FROM projection_builds
WHERE projection_builds.name = %(name)s AND projection_builds.build = %(build)s
