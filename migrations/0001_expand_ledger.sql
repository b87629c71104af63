-- The ledger: append-only events, and the inline projection that is changed only together with an event.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; there is nothing older to go back to.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- The application's role. A cluster has one for all its databases, and two migrations may create it at once.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'holdfast_app') THEN
        CREATE ROLE holdfast_app NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- Whoever migrates may act as the application, so that one login is enough for a small installation.
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'holdfast_app', 'MEMBER') THEN
        EXECUTE format('GRANT holdfast_app TO %I', current_user);
    END IF;
END
$$;

CREATE TABLE account_owners (
    owner text COLLATE "C" PRIMARY KEY CHECK (length(owner) BETWEEN 1 AND 200),
    account_id uuid NOT NULL UNIQUE
);

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    available bigint NOT NULL DEFAULT 0,
    frozen bigint NOT NULL DEFAULT 0,
    credited bigint NOT NULL DEFAULT 0,
    spent bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    reversed bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    owner text NOT NULL,
    name text NOT NULL DEFAULT '',
    CONSTRAINT accounts_version CHECK (version >= 0),
    CONSTRAINT accounts_frozen CHECK (frozen >= 0),
    CONSTRAINT accounts_counters CHECK (spent >= 0 AND expired >= 0 AND reversed >= 0),
    CONSTRAINT accounts_conservation CHECK (credited = available + frozen + spent + expired + reversed),
    CONSTRAINT accounts_head CHECK (length(head) = 32)
) WITH (fillfactor = 50);

CREATE TABLE events (
    position bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    version bigint NOT NULL,
    amount bigint NOT NULL,
    available_after bigint NOT NULL,
    frozen_after bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    request_digest bigint NOT NULL,
    account_id uuid NOT NULL,
    kind smallint NOT NULL,
    command_key text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT events_account_version PRIMARY KEY (account_id, version),
    CONSTRAINT events_version CHECK (version > 0),
    CONSTRAINT events_frozen_after CHECK (frozen_after >= 0),
    CONSTRAINT events_command_key CHECK (length(command_key) BETWEEN 1 AND 200),
    CONSTRAINT events_hash CHECK (length(hash) = 32)
);

-- One event per command key. The key itself, of up to 200 characters, would be a quarter of an event's bytes once more; 128
-- bits of hash hold as well, and whoever forges a collision has a key of their own refused.
CREATE UNIQUE INDEX events_account_command ON events (
    account_id, hashtextextended(command_key, 0), hashtextextended(command_key, 1)
);

-- The sealer finds what became visible since its last snapshot. Equal values share one entry, so it costs little.
CREATE INDEX events_xid ON events (xid);

CREATE TABLE lots (
    account_id uuid NOT NULL,
    number bigint NOT NULL,
    amount bigint NOT NULL,
    remaining bigint NOT NULL,
    frozen bigint NOT NULL,
    expired bigint NOT NULL,
    reversed bigint NOT NULL,
    expires_at timestamptz,
    id uuid NOT NULL,
    priority integer NOT NULL,
    origin smallint NOT NULL,
    live boolean GENERATED ALWAYS AS (remaining > 0 OR frozen > 0) STORED,
    source text NOT NULL,
    paid_amount text NOT NULL,
    paid_currency text NOT NULL,
    CONSTRAINT lots_account_number PRIMARY KEY (account_id, number),
    CONSTRAINT lots_parts CHECK (remaining >= 0 AND frozen >= 0 AND expired >= 0 AND reversed >= 0),
    CONSTRAINT lots_whole CHECK (remaining + frozen + expired <= amount AND reversed <= amount)
) WITH (fillfactor = 50);

-- `live` changes once in a lot's life, so spending from a lot stays a heap-only update.
CREATE INDEX lots_live ON lots (account_id) WHERE live;
CREATE INDEX lots_expiry ON lots (expires_at) WHERE live AND expires_at IS NOT NULL;

CREATE TABLE freezes (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    amount bigint NOT NULL,
    confirmed bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    resolved_at timestamptz,
    state smallint NOT NULL,
    draws bytea NOT NULL,
    reference text NOT NULL,
    CONSTRAINT freezes_id_account PRIMARY KEY (id, account_id),
    CONSTRAINT freezes_amount CHECK (amount > 0 AND confirmed BETWEEN 0 AND amount),
    CONSTRAINT freezes_resolved_once CHECK ((state = 0) = (resolved_at IS NULL) AND state BETWEEN 0 AND 2),
    CONSTRAINT freezes_rolled_back CHECK (state = 1 OR confirmed = 0)
) WITH (fillfactor = 50);

-- `state` is in no index, so resolving a freeze stays a heap-only update. The sweeper reads this index from its last mark on.
CREATE INDEX freezes_expiry ON freezes (expires_at);

CREATE TABLE reversals (
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    lot_number bigint NOT NULL,
    amount bigint NOT NULL,
    already_expired bigint NOT NULL,
    debt bigint NOT NULL,
    reinstated boolean NOT NULL,
    draws bytea NOT NULL,
    CONSTRAINT reversals_account_version PRIMARY KEY (account_id, version),
    CONSTRAINT reversals_parts CHECK (amount > 0 AND already_expired >= 0 AND debt >= 0)
);

-- The one order of all events, gapless, assigned after commit. A tick is one run of the sealer: what was visible to it,
-- and how many events are sealed with it.
CREATE TABLE sealed (
    seq bigint PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    CONSTRAINT sealed_seq CHECK (seq > 0)
);

CREATE TABLE ticks (
    number bigint PRIMARY KEY,
    size bigint NOT NULL,
    snapshot pg_snapshot NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ticks_size CHECK (size >= 0)
);

INSERT INTO ticks (number, size, snapshot) VALUES (0, 0, '1:1:');

-- Append-only, by trigger as well as by privilege: the trigger stops the owner too.
CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER events_append_only
BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER events_no_truncate
BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER sealed_append_only
BEFORE UPDATE OR DELETE ON sealed
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER sealed_no_truncate
BEFORE TRUNCATE ON sealed
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER ticks_append_only
BEFORE UPDATE OR DELETE ON ticks
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER ticks_no_truncate
BEFORE TRUNCATE ON ticks
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

REVOKE ALL ON events, sealed, ticks FROM public;
GRANT USAGE ON SCHEMA public TO holdfast_app;
GRANT SELECT ON schema_migrations TO holdfast_app;
GRANT SELECT, INSERT ON sealed, ticks, account_owners TO holdfast_app;
-- Not `position` and `xid`: whoever chose those could hide an event from the sealer.
GRANT SELECT ON events TO holdfast_app;
GRANT INSERT (
    account_id, version, kind, amount, available_after, frozen_after, recorded_at, command_key, request_digest, body, hash
) ON events TO holdfast_app;
GRANT SELECT, INSERT, UPDATE ON accounts, lots, freezes, reversals TO holdfast_app;
