-- Let the next rebuild begin at once, and not when the server has noticed that this connection is closed.
-- Returns: nothing of interest.
SELECT pg_advisory_unlock_all()
