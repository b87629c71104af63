-- Record how far a build is now; having advanced, it is not halted.
-- Returns: nothing.
UPDATE projection_builds
SET seq = %(seq)s, updated_at = clock_timestamp(), halted_seq = NULL, halted_at = NULL, halt_reason = NULL
WHERE projection_builds.name = %(name)s AND projection_builds.build = %(build)s
