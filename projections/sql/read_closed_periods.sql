-- Read up to which day, by which event, periods are closed.
-- Returns: one row per period in order: the first `seq` that is not in it, and its last day as days since 1970-01-01.
SELECT closed_periods.seq, closed_periods.through - date '1970-01-01' AS through_day
FROM closed_periods
ORDER BY closed_periods.through
