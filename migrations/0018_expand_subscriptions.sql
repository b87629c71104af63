-- Plans that are paid for period by period, what was paid for each period, and credits that are free each day.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; the ledger keeps what was credited, and the gateways what is subscribed to.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- What a subscription is now. States are those of SubscriptionStatus. `asked_at` is when its gateway was asked: later answers
-- win. One that no gateway renews by itself has the id of its first order, and `due_at`: when the clock has to do something
-- about it, or when whoever does so now counts as lost. `try_at` is when it is, or was, to be charged for the next period,
-- `tries` how often that was declined so far.
CREATE TABLE subscriptions (
    account_id uuid NOT NULL,
    order_id uuid,
    period_begins_at timestamptz,
    period_ends_at timestamptz,
    anchored_at timestamptz,
    asked_at timestamptz NOT NULL,
    try_at timestamptz,
    due_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    revision integer NOT NULL DEFAULT 1,
    plan_version integer,
    next_plan_version integer,
    tries integer NOT NULL DEFAULT 0,
    status smallint NOT NULL,
    ends_at_period_end boolean NOT NULL DEFAULT false,
    gateway text NOT NULL,
    subscription_id text NOT NULL,
    plan text,
    region text,
    next_plan text,
    customer_id text,
    method_id text,
    method_label text,
    CONSTRAINT subscriptions_id PRIMARY KEY (gateway, subscription_id),
    CONSTRAINT subscriptions_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT subscriptions_status CHECK (status BETWEEN 0 AND 4),
    CONSTRAINT subscriptions_period CHECK (period_begins_at < period_ends_at),
    CONSTRAINT subscriptions_plan CHECK ((plan IS NULL) = (plan_version IS NULL) AND (plan IS NULL) = (region IS NULL)),
    CONSTRAINT subscriptions_next_plan CHECK ((next_plan IS NULL) = (next_plan_version IS NULL)),
    CONSTRAINT subscriptions_tries CHECK (tries >= 0)
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX subscriptions_order ON subscriptions (gateway, order_id) WHERE order_id IS NOT NULL;

CREATE INDEX subscriptions_of_account ON subscriptions (account_id, created_at);

CREATE INDEX subscriptions_due ON subscriptions (due_at) WHERE due_at IS NOT NULL;

-- What a subscription became with each revision, and what of it was new: the record of its changes.
CREATE TABLE subscription_changes (
    period_begins_at timestamptz,
    period_ends_at timestamptz,
    asked_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revision integer NOT NULL,
    plan_version integer,
    next_plan_version integer,
    status smallint NOT NULL,
    ends_at_period_end boolean NOT NULL,
    gateway text NOT NULL,
    subscription_id text NOT NULL,
    plan text,
    region text,
    next_plan text,
    changes text[] NOT NULL,
    CONSTRAINT subscription_changes_revision PRIMARY KEY (gateway, subscription_id, revision),
    CONSTRAINT subscription_changes_subscription FOREIGN KEY (gateway, subscription_id)
    REFERENCES subscriptions (gateway, subscription_id) ON UPDATE CASCADE
);

-- What was paid for, a row for each payment; it commits with the top-up.
CREATE TABLE subscription_periods (
    account_id uuid NOT NULL,
    order_id uuid,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    credits bigint NOT NULL,
    rollover_cap bigint NOT NULL,
    plan_version integer NOT NULL,
    gateway text NOT NULL,
    payment_id text NOT NULL,
    subscription_id text NOT NULL,
    plan text NOT NULL,
    region text NOT NULL,
    CONSTRAINT subscription_periods_payment PRIMARY KEY (gateway, payment_id),
    CONSTRAINT subscription_periods_subscription FOREIGN KEY (gateway, subscription_id)
    REFERENCES subscriptions (gateway, subscription_id) ON UPDATE CASCADE,
    CONSTRAINT subscription_periods_once UNIQUE (gateway, subscription_id, begins_at, plan),
    CONSTRAINT subscription_periods_order CHECK (begins_at < ends_at),
    CONSTRAINT subscription_periods_credits CHECK (credits > 0 AND rollover_cap >= 0)
);

-- Which period an order for a renewal is for. Written with the order, before anything is charged.
CREATE TABLE subscription_renewals (
    order_id uuid NOT NULL,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL,
    gateway text NOT NULL,
    subscription_id text NOT NULL,
    CONSTRAINT subscription_renewals_order PRIMARY KEY (order_id),
    CONSTRAINT subscription_renewals_period CHECK (begins_at < ends_at)
);

-- Whose free credits of the day are due when, and the local day for which they were given last.
CREATE TABLE daily_credits (
    account_id uuid NOT NULL,
    due_at timestamptz,
    begins_at timestamptz,
    ends_at timestamptz,
    local_day date,
    CONSTRAINT daily_credits_account_id PRIMARY KEY (account_id),
    CONSTRAINT daily_credits_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT daily_credits_day CHECK (begins_at < ends_at)
) WITH (fillfactor = 70);

CREATE INDEX daily_credits_due ON daily_credits (due_at) WHERE due_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON subscriptions, daily_credits TO holdfast_app;
GRANT SELECT, INSERT ON subscription_changes, subscription_periods, subscription_renewals TO holdfast_app;
