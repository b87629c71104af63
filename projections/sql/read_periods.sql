-- Read the closed periods.
-- Returns: one row per period, the first first.
SELECT
    closed_periods.through, closed_periods.seq, closed_periods.closed_at, closed_periods.actor, closed_periods.root,
    closed_periods.report, closed_periods.report_sha256
FROM closed_periods
ORDER BY closed_periods.through
