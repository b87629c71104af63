-- Look a database up by its name.
-- Returns: its name, or no row.
SELECT datname
FROM pg_database
WHERE datname = %(name)s;
