-- Record that a period is closed.
-- Returns: the row, as `read_periods.sql` does.
-- Raises:  closed_periods_pkey   it is closed already
INSERT INTO closed_periods (through, seq, actor, root, report, report_sha256)
VALUES (%(through)s, %(seq)s, %(actor)s, %(root)s, %(report)s, sha256(%(report)s::bytea))
RETURNING through, seq, closed_at, actor, root, report, report_sha256
