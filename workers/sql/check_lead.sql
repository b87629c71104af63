-- See whether this connection is still the one that leads.
-- Returns: one row, whether it holds the lock.
SELECT count(*) > 0
FROM pg_locks
WHERE
    pg_locks.locktype = 'advisory'
    AND pg_locks.pid = pg_backend_pid()
    AND (pg_locks.classid::bigint << 32) + pg_locks.objid::bigint = %(lock)s
    AND pg_locks.granted
