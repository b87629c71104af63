-- Begin the build of a projection that is not the active one.
-- Returns: nothing.
INSERT INTO projection_builds (name, build) VALUES (%(name)s, %(build)s)
