-- Commit the batch, as the last statement of its pipeline.
-- Returns: nothing.
COMMIT
