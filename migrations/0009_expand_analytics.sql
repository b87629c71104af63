-- Analytics: what administrators read of generations and customers, by day, kept up from the sealed log.
--
-- Locks: a trigger on `generations`, which waits for its writers and holds them up until this commits; it also looks once
--        through what ended at no cost.
-- Undo:  drop the trigger, its function and the tables; everything in them comes from the log and from `generations`.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- One row per combination, about generations that ended. Calls to providers are counted under the provider called.
CREATE TABLE analytics_generations (
    build smallint NOT NULL,
    outcome smallint NOT NULL,
    day date NOT NULL,
    account_id uuid NOT NULL,
    generations bigint NOT NULL,
    partial_outputs bigint NOT NULL,
    estimated_usages bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    credits bigint NOT NULL,
    shortfall bigint NOT NULL,
    calls bigint NOT NULL,
    calls_of_unknown_cost bigint NOT NULL,
    cost_microdollars numeric(38, 0) NOT NULL,
    model text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    CONSTRAINT analytics_generations_key PRIMARY KEY (build, day, account_id, model, provider, operation, outcome)
) PARTITION BY LIST (build);
CREATE TABLE analytics_generations_0 PARTITION OF analytics_generations FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE analytics_generations_1 PARTITION OF analytics_generations FOR VALUES IN (1) WITH (fillfactor = 70);

-- Histograms of how long generations took: measure 0 until the end, 1 until the first token. Counts can be added up over
-- anything; percentiles cannot.
CREATE TABLE analytics_latencies (
    build smallint NOT NULL,
    outcome smallint NOT NULL,
    measure smallint NOT NULL,
    bucket smallint NOT NULL,
    day date NOT NULL,
    account_id uuid NOT NULL,
    generations bigint NOT NULL,
    model text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    CONSTRAINT analytics_latencies_key PRIMARY KEY (
        build, day, account_id, model, provider, operation, outcome, measure, bucket
    ),
    CONSTRAINT analytics_latencies_range CHECK (measure IN (0, 1) AND bucket BETWEEN 0 AND 500)
) PARTITION BY LIST (build);
CREATE TABLE analytics_latencies_0 PARTITION OF analytics_latencies FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE analytics_latencies_1 PARTITION OF analytics_latencies FOR VALUES IN (1) WITH (fillfactor = 70);

-- The credits that generations used, by the currency they were bought in ('' where nothing was paid), at what was paid.
CREATE TABLE analytics_revenue (
    build smallint NOT NULL,
    outcome smallint NOT NULL,
    day date NOT NULL,
    account_id uuid NOT NULL,
    credits bigint NOT NULL,
    revenue numeric(50, 12) NOT NULL,
    currency text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    CONSTRAINT analytics_revenue_key PRIMARY KEY (
        build, day, account_id, model, provider, operation, outcome, currency
    )
) PARTITION BY LIST (build);
CREATE TABLE analytics_revenue_0 PARTITION OF analytics_revenue FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE analytics_revenue_1 PARTITION OF analytics_revenue FOR VALUES IN (1) WITH (fillfactor = 70);

-- What an account did on a day.
CREATE TABLE analytics_account_days (
    build smallint NOT NULL,
    day date NOT NULL,
    account_id uuid NOT NULL,
    generations bigint NOT NULL DEFAULT 0,
    freezes bigint NOT NULL DEFAULT 0,
    charges bigint NOT NULL DEFAULT 0,
    purchases bigint NOT NULL DEFAULT 0,
    bought bigint NOT NULL DEFAULT 0,
    granted bigint NOT NULL DEFAULT 0,
    spent bigint NOT NULL DEFAULT 0,
    CONSTRAINT analytics_account_days_key PRIMARY KEY (build, day, account_id)
) PARTITION BY LIST (build);
CREATE TABLE analytics_account_days_0 PARTITION OF analytics_account_days FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE analytics_account_days_1 PARTITION OF analytics_account_days FOR VALUES IN (1) WITH (fillfactor = 70);

-- When accounts were opened, and first bought credits.
CREATE TABLE analytics_accounts (
    build smallint NOT NULL,
    opened_on date NOT NULL,
    account_id uuid NOT NULL,
    opened_at timestamptz NOT NULL,
    first_bought_at timestamptz,
    CONSTRAINT analytics_accounts_key PRIMARY KEY (build, account_id)
) PARTITION BY LIST (build);
CREATE TABLE analytics_accounts_0 PARTITION OF analytics_accounts FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE analytics_accounts_1 PARTITION OF analytics_accounts FOR VALUES IN (1) WITH (fillfactor = 70);
CREATE INDEX analytics_accounts_opened_on ON analytics_accounts (build, opened_on);

-- Generations that ended without an event of their own: they were free, or their freeze was resolved by someone else. Each is
-- given a place in the sealed order once, by whoever takes it into the analytics; every later build takes it there too.
CREATE TABLE unbilled_endings (
    generation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    seq bigint,
    ended_on date NOT NULL,
    CONSTRAINT unbilled_endings_generation PRIMARY KEY (generation_id, account_id),
    CONSTRAINT unbilled_endings_seq CHECK (seq > 0)
);
CREATE INDEX unbilled_endings_place ON unbilled_endings (seq);

-- A trigger, and not a statement of the workers, so that none of those who end generations can forget it, old code neither.
CREATE FUNCTION note_unbilled_ending() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    settle_key text := 'holdfast:settle:' || NEW.id;
BEGIN
    INSERT INTO unbilled_endings (generation_id, account_id, ended_on)
    SELECT NEW.id, NEW.account_id, (NEW.finished_at AT TIME ZONE 'UTC')::date
    WHERE NOT EXISTS (
        SELECT FROM events
        WHERE
            events.account_id = NEW.account_id
            AND hashtextextended(events.command_key, 0) = hashtextextended(settle_key, 0)
            AND hashtextextended(events.command_key, 1) = hashtextextended(settle_key, 1)
            AND events.command_key = settle_key
    );
    RETURN NULL;
END
$$;

-- Only what cost nothing can have no event, so what is paid for does not pay for this.
CREATE TRIGGER generations_unbilled
AFTER UPDATE ON generations
FOR EACH ROW WHEN (NEW.status >= 2 AND OLD.status < 2 AND NEW.cost = 0)
EXECUTE FUNCTION note_unbilled_ending();

INSERT INTO unbilled_endings (generation_id, account_id, ended_on)
SELECT generations.id, generations.account_id, (generations.finished_at AT TIME ZONE 'UTC')::date
FROM generations
WHERE
    generations.status >= 2
    AND generations.cost = 0
    AND NOT EXISTS (
        SELECT FROM events
        WHERE
            events.account_id = generations.account_id
            AND hashtextextended(events.command_key, 0) = hashtextextended('holdfast:settle:' || generations.id, 0)
            AND hashtextextended(events.command_key, 1) = hashtextextended('holdfast:settle:' || generations.id, 1)
    );

CREATE OR REPLACE FUNCTION empty_build(projection text, build smallint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    tables text[] := CASE projection
        WHEN 'balances' THEN ARRAY['balance_snapshots']
        WHEN 'statements' THEN ARRAY['statement_lines']
        WHEN 'journal' THEN ARRAY['journal_lines', 'journal_lots']
        WHEN 'analytics' THEN ARRAY[
            'analytics_generations', 'analytics_latencies', 'analytics_revenue', 'analytics_account_days',
            'analytics_accounts'
        ]
    END;
    name text;
BEGIN
    FOREACH name IN ARRAY tables LOOP
        EXECUTE format('TRUNCATE %I', name || '_' || build);
    END LOOP;
END
$$;

INSERT INTO projections (name) VALUES ('analytics');
INSERT INTO projection_builds (name, build) VALUES ('analytics', 0);

GRANT SELECT, INSERT, UPDATE ON
analytics_generations, analytics_latencies, analytics_revenue, analytics_account_days, analytics_accounts, unbilled_endings
TO holdfast_app;
GRANT TRUNCATE ON
analytics_generations_0, analytics_generations_1, analytics_latencies_0, analytics_latencies_1, analytics_revenue_0,
analytics_revenue_1, analytics_account_days_0, analytics_account_days_1, analytics_accounts_0, analytics_accounts_1
TO holdfast_app;
