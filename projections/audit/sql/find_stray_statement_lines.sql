-- Find lines that are kept of events that there are not, or that the build has not taken.
-- Returns: one row per line: its account and version.
SELECT kept.account_id, kept.version
FROM public.statement_lines AS kept
LEFT JOIN (
    events
    INNER JOIN sealed ON events.position = sealed.position AND sealed.seq <= %(seq)s
) ON kept.account_id = events.account_id AND kept.version = events.version
WHERE kept.build = %(build)s AND sealed.seq IS NULL
ORDER BY kept.seq
LIMIT %(limit)s
