-- The rest of what generations measure, in the analytics: who served them, fallbacks, cache hits, where time went, how large
-- media were, and classes of errors.
--
-- Locks: `analytics_generations` and `analytics_latencies`, to add columns that have constant defaults, and to scan the latter
--        once for the new constraint. Only the projector writes to them.
-- Undo:  drop the columns, `analytics_errors` and `analytics_totals`; everything in them comes from the log and from `generations`.
--
-- What was counted before has zeros in the new columns; `holdfast projections rebuild analytics` counts it anew beside them.
-- squawk-ignore-file constraint-missing-not-valid, ban-drop-constraint

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

ALTER TABLE analytics_generations
ADD COLUMN fallbacks_used bigint NOT NULL DEFAULT 0,
ADD COLUMN cache_hits bigint NOT NULL DEFAULT 0,
ADD COLUMN input_length bigint NOT NULL DEFAULT 0,
ADD COLUMN images bigint NOT NULL DEFAULT 0,
ADD COLUMN pixels numeric(38, 0) NOT NULL DEFAULT 0,
ADD COLUMN duration_ms bigint NOT NULL DEFAULT 0,
ADD COLUMN characters bigint NOT NULL DEFAULT 0;

-- Measures: 0 until the end, 1 until the first token, and in 2 the database, 3 reading the cache, 4 the ledger, 5 providers,
-- 6 writing the cache.
ALTER TABLE analytics_latencies
DROP CONSTRAINT analytics_latencies_range,
ADD CONSTRAINT analytics_latencies_range CHECK (measure BETWEEN 0 AND 6 AND bucket BETWEEN 0 AND 500);

-- Generations that failed, by the code of their error.
CREATE TABLE analytics_errors (
    build smallint NOT NULL,
    day date NOT NULL,
    account_id uuid NOT NULL,
    generations bigint NOT NULL,
    model text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    error_class text COLLATE "C" NOT NULL,
    CONSTRAINT analytics_errors_key PRIMARY KEY (build, day, account_id, model, provider, operation, error_class)
) PARTITION BY LIST (build);
CREATE TABLE analytics_errors_0 PARTITION OF analytics_errors FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE analytics_errors_1 PARTITION OF analytics_errors FOR VALUES IN (1) WITH (fillfactor = 70);

-- What metrics show: totals over all days and accounts, so few rows that every scrape can read them all.
CREATE TABLE analytics_totals (
    build smallint NOT NULL,
    total numeric(38, 0) NOT NULL,
    counter text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    label text COLLATE "C" NOT NULL,
    CONSTRAINT analytics_totals_key PRIMARY KEY (build, counter, model, provider, operation, label)
) PARTITION BY LIST (build);
CREATE TABLE analytics_totals_0 PARTITION OF analytics_totals FOR VALUES IN (0) WITH (fillfactor = 50);
CREATE TABLE analytics_totals_1 PARTITION OF analytics_totals FOR VALUES IN (1) WITH (fillfactor = 50);

CREATE OR REPLACE FUNCTION empty_build(projection text, build smallint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    tables text[] := CASE projection
        WHEN 'balances' THEN ARRAY['balance_snapshots']
        WHEN 'statements' THEN ARRAY['statement_lines']
        WHEN 'journal' THEN ARRAY['journal_lines', 'journal_lots']
        WHEN 'analytics' THEN ARRAY[
            'analytics_generations', 'analytics_latencies', 'analytics_errors', 'analytics_totals',
            'analytics_revenue', 'analytics_account_days', 'analytics_accounts'
        ]
    END;
    name text;
BEGIN
    FOREACH name IN ARRAY tables LOOP
        EXECUTE format('TRUNCATE %I', name || '_' || build);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON analytics_errors, analytics_totals TO holdfast_app;
GRANT TRUNCATE ON analytics_errors_0, analytics_errors_1, analytics_totals_0, analytics_totals_1 TO holdfast_app;
