-- Count the generations that wait for a worker.
-- Returns: one row.
SELECT count(*) FROM outbox
