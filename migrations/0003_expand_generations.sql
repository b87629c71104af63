-- Generations: the catalogue they are priced by, their state, and the outbox that starts them.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; their freezes expire by themselves.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TABLE models (
    name text PRIMARY KEY,
    provider text NOT NULL,
    upstream_name text NOT NULL,
    mode text NOT NULL,
    context_tokens integer NOT NULL,
    default_output_tokens integer NOT NULL,
    max_output_tokens integer NOT NULL,
    enabled boolean NOT NULL,
    CONSTRAINT models_name CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT models_limits CHECK (
        context_tokens > 0 AND default_output_tokens > 0 AND default_output_tokens <= max_output_tokens
    )
);

-- Prices in microcredits, costs (what the provider takes from us) in millionths of a US dollar, per million tokens.
CREATE TABLE model_prices (
    model text NOT NULL REFERENCES models (name),
    version integer NOT NULL,
    input_price bigint NOT NULL,
    output_price bigint NOT NULL,
    cache_read_price bigint NOT NULL,
    cache_write_price bigint NOT NULL,
    input_cost bigint NOT NULL,
    output_cost bigint NOT NULL,
    cache_read_cost bigint NOT NULL,
    cache_write_cost bigint NOT NULL,
    valid_from timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    CONSTRAINT model_prices_model_version PRIMARY KEY (model, version),
    CONSTRAINT model_prices_version CHECK (version > 0),
    CONSTRAINT model_prices_range CHECK (
        input_price BETWEEN 0 AND 1000000000000000
        AND output_price BETWEEN 0 AND 1000000000000000
        AND cache_read_price BETWEEN 0 AND 1000000000000000
        AND cache_write_price BETWEEN 0 AND 1000000000000000
        AND input_cost BETWEEN 0 AND 1000000000000000
        AND output_cost BETWEEN 0 AND 1000000000000000
        AND cache_read_cost BETWEEN 0 AND 1000000000000000
        AND cache_write_cost BETWEEN 0 AND 1000000000000000
    )
);

-- Who changed what a model is, and when. Prices need no such record: each version is one.
CREATE TABLE model_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL,
    definition jsonb NOT NULL
);

CREATE FUNCTION refuse_price_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a price version never changes: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER model_prices_immutable
BEFORE UPDATE OR DELETE ON model_prices
FOR EACH ROW EXECUTE FUNCTION refuse_price_change();

-- No foreign key leads to a price: it would lock one row for every generation of a model, and prices are never deleted.
-- Rows change only when a worker claims, extends, gives back or ends a generation, so they are kept small; what was
-- asked for and what came out live beside it.
CREATE TABLE generations (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    retry_of uuid,
    lease_owner uuid,
    created_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    lease_until timestamptz,
    cancel_requested_at timestamptz,
    started_at timestamptz,
    first_token_at timestamptz,
    finished_at timestamptz,
    frozen bigint NOT NULL,
    cost bigint,
    shortfall bigint,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    reasoning_tokens bigint,
    end_seq bigint,
    end_epoch integer,
    text_length integer,
    price_version integer NOT NULL,
    max_output_tokens integer NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    lost_attempts smallint NOT NULL DEFAULT 0,
    status smallint NOT NULL DEFAULT 0,
    partial boolean NOT NULL DEFAULT false,
    usage_estimated boolean NOT NULL DEFAULT false,
    model text NOT NULL,
    mode text NOT NULL,
    provider text NOT NULL,
    request_id text NOT NULL,
    finish_reason text,
    error_code text,
    error_message text,
    provider_message text,
    text_sha256 text,
    idempotency_sha256 bytea,
    request_sha256 bytea NOT NULL,
    CONSTRAINT generations_id_account PRIMARY KEY (id, account_id),
    CONSTRAINT generations_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT generations_status CHECK (status BETWEEN 0 AND 4),
    CONSTRAINT generations_lease CHECK ((status = 1) = (lease_until IS NOT NULL)),
    CONSTRAINT generations_ended_whole CHECK (
        (status >= 2) = (finished_at IS NOT NULL)
        AND (status < 2 OR num_nulls(cost, shortfall, end_epoch, end_seq, text_length, text_sha256) = 0)
    ),
    -- A start or a snapshot always comes before the end, so that a reader gets the text.
    CONSTRAINT generations_end CHECK (end_seq >= 2 AND end_epoch >= 1),
    CONSTRAINT generations_amounts CHECK (frozen >= 0 AND cost >= 0 AND shortfall >= 0),
    CONSTRAINT generations_failed_is_free CHECK (status <> 4 OR cost = 0),
    CONSTRAINT generations_usage CHECK (
        input_tokens >= 0 AND output_tokens >= 0 AND cache_read_tokens >= 0 AND cache_write_tokens >= 0
        AND reasoning_tokens >= 0
    )
) WITH (fillfactor = 70);

CREATE INDEX generations_of_account ON generations (account_id, id);

-- The lease itself is in no index, so extending it stays a heap-only update.
CREATE INDEX generations_running ON generations (id) WHERE status = 1;

CREATE UNIQUE INDEX generations_idempotency ON generations (account_id, idempotency_sha256)
WHERE idempotency_sha256 IS NOT NULL;

CREATE FUNCTION refuse_ended_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an ended generation never changes' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER generations_ended
BEFORE UPDATE ON generations
FOR EACH ROW WHEN (OLD.status >= 2) EXECUTE FUNCTION refuse_ended_change();

-- Texts are bytea, because a prompt or an answer may hold NUL and text and jsonb cannot.
CREATE TABLE generation_requests (
    generation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT generation_requests_generation PRIMARY KEY (generation_id, account_id)
);

CREATE TABLE generation_outputs (
    generation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT generation_outputs_generation PRIMARY KEY (generation_id, account_id)
);

-- What each call to a provider used and cost us, whoever paid for it.
CREATE TABLE generation_attempts (
    generation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    started_at timestamptz,
    ended_at timestamptz NOT NULL,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    reasoning_tokens bigint,
    cost_microdollars bigint,
    attempt integer NOT NULL,
    call smallint NOT NULL,
    provider text NOT NULL,
    outcome text NOT NULL,
    CONSTRAINT generation_attempts_call PRIMARY KEY (generation_id, account_id, attempt, call)
);

-- A row is here from admission until a worker has claimed the generation: whoever sees it due sends it again.
CREATE TABLE outbox (
    generation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    sends integer NOT NULL DEFAULT 0,
    request_id text NOT NULL,
    CONSTRAINT outbox_generation PRIMARY KEY (generation_id, account_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX outbox_due ON outbox (due_at);

GRANT SELECT, INSERT, UPDATE ON models, generations TO holdfast_app;
GRANT SELECT, INSERT ON model_prices, model_changes, generation_requests, generation_outputs, generation_attempts
TO holdfast_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO holdfast_app;
