-- Take the lock that allows one rebuild of a projection at a time, for as long as this connection lives.
-- Returns: whether it is ours.
SELECT pg_try_advisory_lock(hashtextextended('holdfast rebuild ' || %(name)s::text, 0))
