-- Put a policy in force for the events that no build of the journal has taken yet.
-- Returns: the last event that it is not for.
INSERT INTO journal_policies (after_seq, switches, actor)
SELECT
    max(projection_builds.seq), %(switches)s, %(actor)s
FROM projection_builds
WHERE projection_builds.name = 'journal'
RETURNING after_seq
