-- How many events are sealed.
-- Returns: one row.
SELECT ticks.size FROM ticks
ORDER BY ticks.number DESC
LIMIT 1
