-- Record one run of the sealer.
-- Returns: nothing.
-- Raises:  ticks_pkey   another sealer was first
INSERT INTO ticks (number, size, snapshot, epoch, root)
VALUES (%(number)s, %(size)s, %(snapshot)s::pg_snapshot, %(epoch)s, %(root)s)
