-- Orders, what gateways took and gave back for them, and the webhooks that say so.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; the ledger keeps what was credited, and reconciliation finds the rest at the gateways.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- What somebody wants to buy, as we offered it. Purposes: 'pack', 'plan', 'renewal', 'auto_top_up'.
-- States: 0 made, 1 started at the gateway, 2 paid, 3 given up.
CREATE TABLE payment_orders (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    credits bigint NOT NULL,
    expires_after interval,
    created_at timestamptz NOT NULL DEFAULT now(),
    paid_at timestamptz,
    idempotency_sha256 bytea,
    request_sha256 bytea,
    product_version integer NOT NULL,
    state smallint NOT NULL DEFAULT 0,
    tax_inclusive boolean NOT NULL DEFAULT true,
    gateway text NOT NULL,
    purpose text NOT NULL,
    product text NOT NULL,
    region text NOT NULL,
    currency text NOT NULL,
    gateway_id text,
    url text,
    subscription_id text,
    CONSTRAINT payment_orders_id PRIMARY KEY (id),
    CONSTRAINT payment_orders_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT payment_orders_purpose CHECK (purpose IN ('pack', 'plan', 'renewal', 'auto_top_up')),
    CONSTRAINT payment_orders_amount CHECK (amount_minor > 0),
    CONSTRAINT payment_orders_credits CHECK (credits > 0),
    CONSTRAINT payment_orders_state CHECK (state BETWEEN 0 AND 3)
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX payment_orders_idempotency ON payment_orders (account_id, idempotency_sha256)
WHERE idempotency_sha256 IS NOT NULL;

CREATE INDEX payment_orders_of_account ON payment_orders (account_id, id);

-- What a gateway took. `command_key` is the ledger's, of the top-up; null while nothing is credited. `revision` counts the
-- changes of what was taken back, and guards them. States are those of PaymentStatus.
CREATE TABLE payments (
    gateway text NOT NULL,
    payment_id text NOT NULL,
    account_id uuid,
    order_id uuid,
    amount_minor bigint NOT NULL,
    credits bigint NOT NULL DEFAULT 0,
    happened_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revision integer NOT NULL DEFAULT 0,
    status smallint NOT NULL,
    currency text NOT NULL,
    subscription_id text,
    failure text,
    command_key text,
    CONSTRAINT payments_id PRIMARY KEY (gateway, payment_id),
    CONSTRAINT payments_amount CHECK (amount_minor >= 0),
    CONSTRAINT payments_credits CHECK (credits >= 0)
) WITH (fillfactor = 80);

CREATE INDEX payments_of_account ON payments (account_id, happened_at);

CREATE INDEX payments_in_time ON payments (gateway, happened_at);

CREATE INDEX payments_of_order ON payments (order_id) WHERE order_id IS NOT NULL;

CREATE TABLE payment_refunds (
    gateway text NOT NULL,
    refund_id text NOT NULL,
    payment_id text NOT NULL,
    amount_minor bigint NOT NULL,
    happened_at timestamptz NOT NULL,
    status smallint NOT NULL,
    currency text NOT NULL,
    CONSTRAINT payment_refunds_id PRIMARY KEY (gateway, refund_id),
    CONSTRAINT payment_refunds_amount CHECK (amount_minor >= 0)
) WITH (fillfactor = 80);

CREATE INDEX payment_refunds_of_payment ON payment_refunds (gateway, payment_id);

CREATE INDEX payment_refunds_in_time ON payment_refunds (gateway, happened_at);

CREATE TABLE payment_disputes (
    gateway text NOT NULL,
    dispute_id text NOT NULL,
    payment_id text NOT NULL,
    amount_minor bigint NOT NULL,
    happened_at timestamptz NOT NULL,
    status smallint NOT NULL,
    currency text NOT NULL,
    CONSTRAINT payment_disputes_id PRIMARY KEY (gateway, dispute_id),
    CONSTRAINT payment_disputes_amount CHECK (amount_minor >= 0)
) WITH (fillfactor = 80);

CREATE INDEX payment_disputes_of_payment ON payment_disputes (gateway, payment_id);

-- What was taken back of a payment's credits, a row for each reversal in the ledger. Causes: 'refund', 'chargeback'.
CREATE TABLE payment_reversals (
    gateway text NOT NULL,
    payment_id text NOT NULL,
    number integer NOT NULL,
    credits bigint NOT NULL,
    reinstated boolean NOT NULL DEFAULT false,
    cause text NOT NULL,
    command_key text NOT NULL,
    CONSTRAINT payment_reversals_number PRIMARY KEY (gateway, payment_id, number),
    CONSTRAINT payment_reversals_payment FOREIGN KEY (gateway, payment_id) REFERENCES payments (gateway, payment_id),
    CONSTRAINT payment_reversals_cause CHECK (cause IN ('refund', 'chargeback')),
    CONSTRAINT payment_reversals_credits CHECK (credits > 0)
);

-- Money that came and fits nothing that we offered. Nothing was credited for it. Reasons: 'amount', 'currency', 'account', 'order'.
CREATE TABLE payment_mismatches (
    gateway text NOT NULL,
    payment_id text NOT NULL,
    reason text NOT NULL,
    order_id uuid,
    account_id uuid,
    amount_minor bigint NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    currency text NOT NULL,
    detail text NOT NULL,
    resolved_by text,
    resolution text,
    CONSTRAINT payment_mismatches_once PRIMARY KEY (gateway, payment_id),
    CONSTRAINT payment_mismatches_reason CHECK (reason IN ('amount', 'currency', 'account', 'order'))
);

CREATE INDEX payment_mismatches_open ON payment_mismatches (found_at) WHERE resolved_at IS NULL;

-- Verified webhooks as they came. States: 0 to be processed, 1 processed, 2 dead: given up, to be looked at by somebody.
CREATE TABLE payment_inbox (
    id bigint GENERATED ALWAYS AS IDENTITY,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    processed_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    state smallint NOT NULL DEFAULT 0,
    gateway text NOT NULL,
    event_id text NOT NULL,
    kind text NOT NULL,
    object_id text NOT NULL,
    request_id text NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    last_error text,
    CONSTRAINT payment_inbox_id PRIMARY KEY (id),
    CONSTRAINT payment_inbox_once UNIQUE (gateway, event_id),
    CONSTRAINT payment_inbox_state CHECK (state BETWEEN 0 AND 2)
) WITH (fillfactor = 80);

CREATE INDEX payment_inbox_due ON payment_inbox (due_at, id) WHERE state = 0;

CREATE INDEX payment_inbox_dead ON payment_inbox (id) WHERE state = 2;

GRANT SELECT, INSERT, UPDATE ON
payment_orders, payments, payment_refunds, payment_disputes, payment_reversals, payment_mismatches, payment_inbox
TO holdfast_app;
