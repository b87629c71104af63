-- Jobs that providers run for us in the background, and what finance has to know of those that nobody waited for.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; jobs that run meanwhile are forgotten, their generations time out and cost their users nothing.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- One row per job, written before the provider is asked to start it. States: 0 perhaps started, 1 started, 2 left by the
-- call that waited for it, 3 over. No foreign key leads to the generation: it would lock a row that its worker updates.
CREATE TABLE upstream_jobs (
    generation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    -- When to ask the provider, once no call does so.
    ask_at timestamptz,
    webhook_at timestamptz,
    attempt integer NOT NULL,
    price_version integer NOT NULL,
    asks integer NOT NULL DEFAULT 0,
    webhooks integer NOT NULL DEFAULT 0,
    call smallint NOT NULL,
    state smallint NOT NULL DEFAULT 0,
    -- The model whose rates say what it costs us, and what its provider calls it.
    model text NOT NULL,
    provider text NOT NULL,
    upstream_model text NOT NULL,
    -- In the URL of its webhook, and nowhere else.
    token text NOT NULL,
    upstream_id text,
    status_url text NOT NULL DEFAULT '',
    result_url text NOT NULL DEFAULT '',
    cancel_url text NOT NULL DEFAULT '',
    outcome text,
    -- What was asked for, to measure a result by that does not say how large or long it is.
    asked jsonb NOT NULL,
    -- Of the last webhook; null if it was too large.
    webhook_body bytea,
    CONSTRAINT upstream_jobs_call PRIMARY KEY (generation_id, account_id, attempt, call),
    CONSTRAINT upstream_jobs_state CHECK (state BETWEEN 0 AND 3),
    CONSTRAINT upstream_jobs_started CHECK (state <> 1 OR upstream_id IS NOT NULL),
    CONSTRAINT upstream_jobs_over CHECK (state < 3 OR outcome IS NOT NULL),
    CONSTRAINT upstream_jobs_asked_again CHECK (state <> 2 OR ask_at IS NOT NULL),
    CONSTRAINT upstream_jobs_token CHECK (length(token) >= 32),
    CONSTRAINT upstream_jobs_webhook CHECK (octet_length(webhook_body) <= 262144)
) WITH (fillfactor = 70);

CREATE INDEX upstream_jobs_by_token ON upstream_jobs (token);

CREATE INDEX upstream_jobs_open ON upstream_jobs (created_at) WHERE state < 3;

-- What happened at a provider after a generation had ended, so that it is on the provider's bill and on no customer's.
-- late_success: a result came. late_cost: none came, but we pay. unknown: the provider never said what became of it.
CREATE TABLE reconciliation_entries (
    id uuid PRIMARY KEY,
    generation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    -- Millionths of a US dollar, by the rates at admission; null where nobody knows.
    cost_microdollars bigint,
    attempt integer NOT NULL,
    call smallint NOT NULL,
    kind text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    upstream_id text NOT NULL,
    detail text NOT NULL,
    CONSTRAINT reconciliation_entries_once UNIQUE (generation_id, account_id, attempt, call, kind),
    CONSTRAINT reconciliation_entries_kind CHECK (kind IN ('late_success', 'late_cost', 'unknown')),
    CONSTRAINT reconciliation_entries_cost CHECK (cost_microdollars >= 0)
);

GRANT SELECT, INSERT, UPDATE ON upstream_jobs TO holdfast_app;
GRANT SELECT, INSERT ON reconciliation_entries TO holdfast_app;
