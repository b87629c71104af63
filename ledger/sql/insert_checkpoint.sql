-- Keep a checkpoint, once per size.
-- Returns: when it was signed; no row if there is one of this size.
INSERT INTO checkpoints (size, root, note)
VALUES (%(size)s, %(root)s, %(note)s)
ON CONFLICT ON CONSTRAINT checkpoints_size DO NOTHING
RETURNING signed_at
