-- Forget a build that is not the active one.
-- Returns: nothing.
DELETE FROM projection_builds
WHERE projection_builds.name = %(name)s AND projection_builds.build = %(build)s
