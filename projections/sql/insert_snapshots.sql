-- Keep what accounts had after some of their events.
-- Returns: nothing.
INSERT INTO balance_snapshots (build, account_id, version, seq, due_version, recorded_at, state)
SELECT
    %(build)s,
    unnest(%(account_ids)s),
    unnest(%(versions)s),
    unnest(%(seqs)s),
    unnest(%(due_versions)s),
    unnest(%(recorded_ats)s),
    unnest(%(states)s)
