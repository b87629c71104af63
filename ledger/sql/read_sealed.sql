-- Read how much is sealed, and the root over it.
-- Returns: both, or no row while nothing is.
SELECT ticks.size, ticks.root
FROM ticks
WHERE ticks.root IS NOT NULL AND ticks.size > 0
ORDER BY ticks.number DESC
LIMIT 1
