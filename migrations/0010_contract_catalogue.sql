-- The catalogue for every kind of model: what a model is becomes versions like its price, and both become documents.
--
-- Locks: `models` and `model_prices` for the moment it takes to rewrite a few dozen rows; `generations` and
--        `generation_attempts` only to add columns without a value. Workers of the release before must have stopped.
-- Undo:  write the newest versions back into columns; the versions and what generations measured would be lost.
--
-- The catalogue has a few dozen rows, so scanning and rewriting it costs nothing.
-- squawk-ignore-file ban-drop-table, ban-drop-column, adding-not-nullable-field, constraint-missing-not-valid, ban-drop-constraint

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TABLE model_versions (
    model text NOT NULL REFERENCES models (name),
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    definition jsonb NOT NULL,
    CONSTRAINT model_versions_model_version PRIMARY KEY (model, version),
    CONSTRAINT model_versions_version CHECK (version > 0)
);

INSERT INTO model_versions (model, version, created_at, created_by, definition)
SELECT
    model_changes.model,
    row_number() OVER (PARTITION BY model_changes.model ORDER BY model_changes.id),
    model_changes.changed_at,
    model_changes.changed_by,
    model_changes.definition - 'mode' || '{"modes": ["chat"]}'::jsonb
FROM model_changes;

CREATE TRIGGER model_versions_immutable
BEFORE UPDATE OR DELETE ON model_versions
FOR EACH ROW EXECUTE FUNCTION refuse_price_change();

DROP TABLE model_changes;

ALTER TABLE models
DROP COLUMN provider,
DROP COLUMN upstream_name,
DROP COLUMN mode,
DROP COLUMN context_tokens,
DROP COLUMN default_output_tokens,
DROP COLUMN max_output_tokens,
DROP COLUMN enabled;

-- Rates by name, zero where one is missing: prices in microcredits, costs in millionths of a US dollar.
ALTER TABLE model_prices
ADD COLUMN prices jsonb,
ADD COLUMN costs jsonb;

ALTER TABLE model_prices DISABLE TRIGGER model_prices_immutable;

UPDATE model_prices
SET
    prices = jsonb_build_object(
        'input_per_mtok', model_prices.input_price,
        'output_per_mtok', model_prices.output_price,
        'cache_read_per_mtok', model_prices.cache_read_price,
        'cache_write_per_mtok', model_prices.cache_write_price
    ),
    costs = jsonb_build_object(
        'input_per_mtok', model_prices.input_cost,
        'output_per_mtok', model_prices.output_cost,
        'cache_read_per_mtok', model_prices.cache_read_cost,
        'cache_write_per_mtok', model_prices.cache_write_cost
    );

ALTER TABLE model_prices ENABLE TRIGGER model_prices_immutable;

ALTER TABLE model_prices
DROP CONSTRAINT model_prices_range,
DROP COLUMN input_price,
DROP COLUMN output_price,
DROP COLUMN cache_read_price,
DROP COLUMN cache_write_price,
DROP COLUMN input_cost,
DROP COLUMN output_cost,
DROP COLUMN cache_read_cost,
DROP COLUMN cache_write_cost,
ALTER COLUMN prices SET NOT NULL,
ALTER COLUMN costs SET NOT NULL,
ADD CONSTRAINT model_prices_range CHECK (
    jsonb_typeof(prices) = 'object'
    AND jsonb_typeof(costs) = 'object'
    AND NOT jsonb_path_exists(prices, '$.* ? (@.type() != "number" || @ < 0 || @ > 1000000000000000)')
    AND NOT jsonb_path_exists(costs, '$.* ? (@.type() != "number" || @ < 0 || @ > 1000000000000000)')
);

-- What a generation was admitted under, who served it in the end, what came out beside text, and where its time went.
ALTER TABLE generations
ADD COLUMN images bigint,
ADD COLUMN pixels bigint,
ADD COLUMN duration_ms bigint,
ADD COLUMN characters bigint,
ADD COLUMN compute_ms bigint,
ADD COLUMN database_us bigint,
ADD COLUMN cache_read_us bigint,
ADD COLUMN credit_us bigint,
ADD COLUMN provider_us bigint,
ADD COLUMN cache_write_us bigint,
ADD COLUMN input_length bigint,
ADD COLUMN model_version integer NOT NULL DEFAULT 1,
ADD COLUMN fallback_used boolean NOT NULL DEFAULT false,
ADD COLUMN cache_hit boolean NOT NULL DEFAULT false,
ADD COLUMN served_model text,
ADD COLUMN served_provider text;

ALTER TABLE generation_outputs
ADD COLUMN artifacts bytea,
ADD COLUMN structured bytea;

ALTER TABLE generation_attempts
ADD COLUMN images bigint,
ADD COLUMN pixels bigint,
ADD COLUMN duration_ms bigint,
ADD COLUMN characters bigint,
ADD COLUMN compute_ms bigint,
ADD COLUMN status_code integer,
ADD COLUMN model text,
ADD COLUMN provider_message text,
ADD COLUMN upstream_request_id text;

GRANT SELECT, INSERT ON model_versions TO holdfast_app;
