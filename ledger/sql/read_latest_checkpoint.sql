-- Read the last checkpoint that was signed.
-- Returns: it, or no row.
SELECT checkpoints.size, checkpoints.root, checkpoints.note, checkpoints.signed_at
FROM checkpoints
ORDER BY checkpoints.size DESC
LIMIT 1
