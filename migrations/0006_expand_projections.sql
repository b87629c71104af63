-- Read models built from the sealed log: how far each is, and the first two, balances and statements.
--
-- Each projection has two slots, builds 0 and 1, which are partitions of its tables. One is active and read; the other is
-- empty, or is being built anew beside it. Emptying a slot is a TRUNCATE, so a rebuild leaves nothing to clean up.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; everything in them comes from the log.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TABLE projections (
    name text COLLATE "C" PRIMARY KEY,
    active smallint NOT NULL DEFAULT 0,
    switched_at timestamptz,
    CONSTRAINT projections_active CHECK (active IN (0, 1))
);

-- `seq` is the last event that is in the build. A build that met an event it could not take halts before it.
CREATE TABLE projection_builds (
    name text COLLATE "C" NOT NULL REFERENCES projections (name),
    build smallint NOT NULL,
    seq bigint NOT NULL DEFAULT 0,
    halted_seq bigint,
    halted_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    halt_reason text,
    CONSTRAINT projection_builds_name_build PRIMARY KEY (name, build),
    CONSTRAINT projection_builds_build CHECK (build IN (0, 1)),
    CONSTRAINT projection_builds_seq CHECK (seq >= 0),
    CONSTRAINT projection_builds_halt CHECK (
        (halted_seq IS NULL) = (halted_at IS NULL) AND (halted_seq IS NULL) = (halt_reason IS NULL)
    )
) WITH (fillfactor = 50);

-- What an account had after some of its events, so that what it had at any time is one of these and a few events more.
CREATE TABLE balance_snapshots (
    build smallint NOT NULL,
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    seq bigint NOT NULL,
    due_version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    state bytea NOT NULL,
    CONSTRAINT balance_snapshots_account_version PRIMARY KEY (build, account_id, version)
) PARTITION BY LIST (build);
CREATE TABLE balance_snapshots_0 PARTITION OF balance_snapshots FOR VALUES IN (0);
CREATE TABLE balance_snapshots_1 PARTITION OF balance_snapshots FOR VALUES IN (1);
CREATE UNIQUE INDEX balance_snapshots_account_seq ON balance_snapshots (build, account_id, seq);
CREATE INDEX balance_snapshots_account_time ON balance_snapshots (build, account_id, recorded_at, version);

-- One line per event: what it changed, and the balance after it.
CREATE TABLE statement_lines (
    build smallint NOT NULL,
    kind smallint NOT NULL,
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    seq bigint NOT NULL,
    amount bigint NOT NULL,
    available_change bigint NOT NULL,
    frozen_change bigint NOT NULL,
    available_after bigint NOT NULL,
    frozen_after bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    freeze_id uuid,
    reference text NOT NULL,
    reason text NOT NULL,
    CONSTRAINT statement_lines_account_version PRIMARY KEY (build, account_id, version)
) PARTITION BY LIST (build);
CREATE TABLE statement_lines_0 PARTITION OF statement_lines FOR VALUES IN (0);
CREATE TABLE statement_lines_1 PARTITION OF statement_lines FOR VALUES IN (1);

-- The tables of each projection; later projections replace this function with one that knows them too.
CREATE FUNCTION empty_build(projection text, build smallint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    tables text[] := CASE projection
        WHEN 'balances' THEN ARRAY['balance_snapshots']
        WHEN 'statements' THEN ARRAY['statement_lines']
    END;
    name text;
BEGIN
    FOREACH name IN ARRAY tables LOOP
        EXECUTE format('TRUNCATE %I', name || '_' || build);
    END LOOP;
END
$$;

INSERT INTO projections (name) VALUES ('balances'), ('statements');
INSERT INTO projection_builds (name, build) VALUES ('balances', 0), ('statements', 0);

GRANT SELECT, UPDATE ON projections TO holdfast_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_builds TO holdfast_app;
GRANT SELECT, INSERT ON balance_snapshots, statement_lines TO holdfast_app;
GRANT TRUNCATE ON balance_snapshots_0, balance_snapshots_1, statement_lines_0, statement_lines_1 TO holdfast_app;
