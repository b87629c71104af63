-- Try to become the one leader of the clock; the lock goes with the connection.
-- Returns: one row, whether we lead now.
SELECT pg_try_advisory_lock(%(lock)s)
