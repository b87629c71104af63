-- Have all builds of the journal stand still until the end of the transaction.
-- Returns: how far each is.
SELECT projection_builds.seq
FROM projection_builds
WHERE projection_builds.name = 'journal'
ORDER BY projection_builds.build
FOR UPDATE
