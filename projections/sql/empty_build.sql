-- Empty the tables of a build. Waits for whoever still reads it.
-- Returns: nothing.
SELECT empty_build(%(name)s, %(build)s::smallint)
