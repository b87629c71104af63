-- Read how many events are sealed, and the root of their tree.
-- Returns: one row, or none while nothing is sealed.
SELECT ticks.size, ticks.root FROM ticks
WHERE ticks.size > 0
ORDER BY ticks.number DESC
LIMIT 1
