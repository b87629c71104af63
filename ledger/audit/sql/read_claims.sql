-- Read what ticks and checkpoints say of the root of the log, for a range of sizes.
-- Returns: size, root, the tick's number or nothing, and the checkpoint's note or nothing.
SELECT ticks.size, ticks.root, ticks.number, NULL AS note
FROM ticks
WHERE ticks.root IS NOT NULL AND ticks.size > %(first)s AND ticks.size <= %(beyond)s
UNION ALL
SELECT checkpoints.size, checkpoints.root, NULL AS number, checkpoints.note
FROM checkpoints
WHERE checkpoints.size > %(first)s AND checkpoints.size <= %(beyond)s
ORDER BY size
