-- Proofs over the sealed order: the tree of all sealed events in tiles, the root with every tick, signed checkpoints.
--
-- A tick now also says in which epoch it was made. Transaction ids mean something only in the cluster that gave them, so
-- after a logical restore the sealer starts a new epoch. That is how it knows: a tick keeps the id of its own transaction,
-- which equals the row's `xmin` only where the row was born.
--
-- Locks: ACCESS EXCLUSIVE on ticks for an instant: no row is rewritten. The earlier code writes ticks as before.
-- Undo:  drop the tables and the columns; everything in them can be made again from events and sealed, but for signatures.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

ALTER TABLE ticks
ADD COLUMN root bytea,
ADD COLUMN epoch integer NOT NULL DEFAULT 1,
ADD COLUMN xid xid8;

-- Apart, so that ticks that are there already get none.
ALTER TABLE ticks ALTER COLUMN xid SET DEFAULT pg_current_xact_id();

ALTER TABLE ticks ADD CONSTRAINT ticks_root CHECK (length(root) = 32) NOT VALID;

-- The full tiles of the tree (256 hashes each, https://c2sp.org/tlog-tiles): on level 0 the hashes of the leaves, above it
-- the roots of the tiles below. The right edge, what fills no tile yet, follows from `sealed` and from the roots.
CREATE TABLE tiles (
    index bigint NOT NULL,
    level smallint NOT NULL,
    root bytea NOT NULL,
    nodes bytea NOT NULL,
    CONSTRAINT tiles_level_index PRIMARY KEY (level, index),
    CONSTRAINT tiles_place CHECK (level >= 0 AND index >= 0),
    CONSTRAINT tiles_lengths CHECK (length(root) = 32 AND length(nodes) = 8192)
);

-- Hashes do not compress; apart from the row, so that reading the roots of a level touches only them.
ALTER TABLE tiles ALTER COLUMN nodes SET STORAGE EXTERNAL;

CREATE TABLE checkpoints (
    size bigint NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    root bytea NOT NULL,
    note text NOT NULL,
    CONSTRAINT checkpoints_size PRIMARY KEY (size),
    CONSTRAINT checkpoints_root CHECK (size > 0 AND length(root) = 32)
);

CREATE TRIGGER tiles_append_only
BEFORE UPDATE OR DELETE ON tiles
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tiles_no_truncate
BEFORE TRUNCATE ON tiles
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER checkpoints_append_only
BEFORE UPDATE OR DELETE ON checkpoints
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER checkpoints_no_truncate
BEFORE TRUNCATE ON checkpoints
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

REVOKE ALL ON tiles, checkpoints FROM public;
GRANT SELECT, INSERT ON tiles, checkpoints TO holdfast_app;
