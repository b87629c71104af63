-- Let other sessions see what this transaction sees, for as long as it lasts.
-- Returns: the name under which they find it.
SELECT pg_export_snapshot()
