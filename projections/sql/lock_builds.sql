-- Have all builds of a projection stand still until the end of the transaction, the one that is read first.
-- Returns: the build and how far it is, one row each.
SELECT projection_builds.build, projection_builds.seq
FROM projection_builds
INNER JOIN projections ON projection_builds.name = projections.name
WHERE projection_builds.name = %(name)s
ORDER BY projections.active <> projection_builds.build
FOR UPDATE OF projection_builds
