-- Look whether an ending waits for its place, without locking anything.
-- Returns: one row: whether one does.
SELECT EXISTS(
    SELECT FROM unbilled_endings
    WHERE unbilled_endings.seq IS NULL
)
