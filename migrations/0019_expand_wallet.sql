-- Codes that bring credits, means of payment that are kept, automatic top-ups, and notices of low balances.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; the ledger keeps what was credited, and the gateways what was charged.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- A code as it is compared: in capitals. That it is not used more often than it may be is held here too.
CREATE TABLE promo_codes (
    code text COLLATE "C" NOT NULL,
    credits bigint NOT NULL,
    max_uses integer NOT NULL,
    uses integer NOT NULL DEFAULT 0,
    credits_expire_after_days integer,
    expires_at timestamptz,
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    CONSTRAINT promo_codes_code PRIMARY KEY (code),
    CONSTRAINT promo_codes_length CHECK (length(code) BETWEEN 3 AND 64),
    CONSTRAINT promo_codes_credits CHECK (credits > 0),
    CONSTRAINT promo_codes_uses CHECK (uses BETWEEN 0 AND max_uses),
    CONSTRAINT promo_codes_days CHECK (credits_expire_after_days > 0)
) WITH (fillfactor = 50);

-- Who redeemed which code; it commits with the grant.
CREATE TABLE promo_redemptions (
    account_id uuid NOT NULL,
    redeemed_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    credits bigint NOT NULL,
    code text COLLATE "C" NOT NULL,
    idempotency_sha256 bytea,
    CONSTRAINT promo_redemptions_once PRIMARY KEY (account_id, code),
    CONSTRAINT promo_redemptions_promo_code FOREIGN KEY (code) REFERENCES promo_codes (code),
    CONSTRAINT promo_redemptions_credits CHECK (credits > 0)
);

-- How many codes that bring nothing an account has tried within the hour that began then.
CREATE TABLE promo_tries (
    account_id uuid NOT NULL,
    begins_at timestamptz NOT NULL,
    failed integer NOT NULL,
    CONSTRAINT promo_tries_account PRIMARY KEY (account_id),
    CONSTRAINT promo_tries_failed CHECK (failed >= 0)
) WITH (fillfactor = 50);

-- What gateways keep for the owner of an account, to be charged again; of each gateway the newest.
CREATE TABLE saved_methods (
    account_id uuid NOT NULL,
    saved_at timestamptz NOT NULL,
    gateway text NOT NULL,
    customer_id text NOT NULL,
    method_id text NOT NULL,
    label text NOT NULL,
    CONSTRAINT saved_methods_once PRIMARY KEY (account_id, gateway),
    CONSTRAINT saved_methods_account FOREIGN KEY (account_id) REFERENCES accounts (id)
);

-- What an account buys by itself, and when: a pack by its name, or whichever brings the balance up to a target. `due_at` is
-- from when on it may do so, or when whoever sees to it now counts as lost; null where there is nothing to see to.
-- `last_number` is that of its last attempt, `declines` how many in a row were declined.
CREATE TABLE auto_top_ups (
    account_id uuid NOT NULL,
    threshold bigint NOT NULL,
    target bigint,
    cap_minor bigint NOT NULL,
    due_at timestamptz,
    suspended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_number integer NOT NULL DEFAULT 0,
    declines integer NOT NULL DEFAULT 0,
    enabled boolean NOT NULL DEFAULT true,
    in_flight boolean NOT NULL DEFAULT false,
    cap_currency text NOT NULL,
    pack text,
    region text NOT NULL,
    gateway text NOT NULL,
    CONSTRAINT auto_top_ups_account_id PRIMARY KEY (account_id),
    CONSTRAINT auto_top_ups_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT auto_top_ups_threshold CHECK (threshold > 0),
    CONSTRAINT auto_top_ups_what CHECK ((pack IS NULL) <> (target IS NULL)),
    CONSTRAINT auto_top_ups_target CHECK (target > threshold),
    CONSTRAINT auto_top_ups_cap CHECK (cap_minor > 0),
    CONSTRAINT auto_top_ups_numbers CHECK (last_number >= 0 AND declines >= 0),
    CONSTRAINT auto_top_ups_seen_to CHECK (NOT in_flight OR due_at IS NOT NULL)
) WITH (fillfactor = 50);

CREATE INDEX auto_top_ups_due ON auto_top_ups (due_at) WHERE due_at IS NOT NULL;

-- Each charge that was made, or may have been, in the calendar month of the account's time zone. Outcomes: 0 in flight,
-- 1 paid, 2 declined, 3 unknown: nobody could say in time, so it counts as if it were paid. What is charged, and to which
-- means of payment, is written first and stays: under one key a gateway must be told the same each time.
CREATE TABLE auto_top_up_attempts (
    account_id uuid NOT NULL,
    order_id uuid NOT NULL,
    made_at timestamptz NOT NULL,
    ended_at timestamptz,
    amount_minor bigint NOT NULL,
    number integer NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    month date NOT NULL,
    outcome smallint NOT NULL DEFAULT 0,
    currency text NOT NULL,
    gateway text NOT NULL,
    customer_id text NOT NULL,
    method_id text NOT NULL,
    method_label text NOT NULL,
    CONSTRAINT auto_top_up_attempts_number PRIMARY KEY (account_id, number),
    CONSTRAINT auto_top_up_attempts_of FOREIGN KEY (account_id) REFERENCES auto_top_ups (account_id),
    CONSTRAINT auto_top_up_attempts_order FOREIGN KEY (order_id) REFERENCES payment_orders (id),
    CONSTRAINT auto_top_up_attempts_amount CHECK (amount_minor > 0),
    CONSTRAINT auto_top_up_attempts_outcome CHECK (outcome BETWEEN 0 AND 3),
    CONSTRAINT auto_top_up_attempts_ended CHECK ((outcome = 0) = (ended_at IS NULL)),
    CONSTRAINT auto_top_up_attempts_tries CHECK (tries >= 0)
) WITH (fillfactor = 80);

-- One at a time.
CREATE UNIQUE INDEX auto_top_up_attempts_in_flight ON auto_top_up_attempts (account_id) WHERE outcome = 0;

CREATE INDEX auto_top_up_attempts_of_month ON auto_top_up_attempts (account_id, month);

-- Below which balance somebody wants to be told. `seen_version` is the version of the account up to which that was seen to.
CREATE TABLE low_balances (
    account_id uuid NOT NULL,
    threshold bigint NOT NULL,
    seen_version bigint NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    told_at timestamptz,
    is_below boolean NOT NULL,
    CONSTRAINT low_balances_account_id PRIMARY KEY (account_id),
    CONSTRAINT low_balances_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT low_balances_threshold CHECK (threshold > 0)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON
promo_codes, promo_tries, saved_methods, auto_top_ups, auto_top_up_attempts
TO holdfast_app;
GRANT SELECT, INSERT ON promo_redemptions TO holdfast_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON low_balances TO holdfast_app;
