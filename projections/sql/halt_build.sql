-- Record at which event a build halted, and why.
-- Returns: nothing.
UPDATE projection_builds
SET halted_seq = %(seq)s, halted_at = clock_timestamp(), halt_reason = %(reason)s
WHERE projection_builds.name = %(name)s AND projection_builds.build = %(build)s
