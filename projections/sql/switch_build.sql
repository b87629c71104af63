-- Have this build read from now on.
-- Returns: nothing.
UPDATE projections
SET active = %(build)s, switched_at = clock_timestamp()
WHERE projections.name = %(name)s
