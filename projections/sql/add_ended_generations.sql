-- Count generations that ended: what they were, used and cost us, how long they took, why they failed, and that their
-- accounts were active. They count under the provider that served them; before one did, under that of the model.
-- Bucket n of a histogram holds the times above 1.05^(n-1) ms, up to and with 1.05^n ms; bucket 0 all up to 1 ms.
-- Returns: one row: how many of them there are, ended.
WITH ended AS (
    SELECT
        unnest(%(generation_ids)s) AS generation_id,
        unnest(%(account_ids)s) AS account_id,
        date '1970-01-01' + unnest(%(days)s)::integer AS day
),

found AS MATERIALIZED (
    SELECT
        ended.day, generations.id, generations.account_id, generations.model,
        coalesce(generations.served_provider, generations.provider) AS provider, generations.mode AS operation,
        generations.status AS outcome, generations.partial, generations.usage_estimated,
        generations.input_tokens, generations.output_tokens, generations.cache_read_tokens,
        generations.cache_write_tokens, generations.reasoning_tokens, generations.shortfall, generations.created_at,
        generations.first_token_at, generations.finished_at, generations.fallback_used, generations.cache_hit,
        generations.input_length, generations.images, generations.pixels, generations.duration_ms,
        generations.characters, generations.database_us, generations.cache_read_us, generations.credit_us,
        generations.provider_us, generations.cache_write_us, generations.error_code
    FROM ended
    INNER JOIN generations ON ended.generation_id = generations.id AND ended.account_id = generations.account_id
    WHERE generations.status >= 2
),

counted AS (
    SELECT
        found.day, found.account_id, found.model, found.provider, found.operation, found.outcome,
        1 AS generations, found.partial::integer AS partial_outputs, found.usage_estimated::integer AS estimated_usages,
        found.input_tokens, found.output_tokens, found.cache_read_tokens, found.cache_write_tokens,
        found.reasoning_tokens, found.shortfall, 0 AS calls, 0 AS calls_of_unknown_cost, 0::bigint AS cost_microdollars,
        found.fallback_used::integer AS fallbacks_used, found.cache_hit::integer AS cache_hits, found.input_length,
        found.images, found.pixels, found.duration_ms, found.characters
    FROM found
    UNION ALL
    SELECT
        found.day, found.account_id, found.model, generation_attempts.provider, found.operation, found.outcome,
        0 AS generations, 0 AS partial_outputs, 0 AS estimated_usages,
        0 AS input_tokens, 0 AS output_tokens, 0 AS cache_read_tokens, 0 AS cache_write_tokens,
        0 AS reasoning_tokens, 0 AS shortfall, 1 AS calls,
        (generation_attempts.cost_microdollars IS NULL)::integer AS calls_of_unknown_cost,
        generation_attempts.cost_microdollars,
        0 AS fallbacks_used, 0 AS cache_hits, 0 AS input_length,
        0 AS images, 0 AS pixels, 0 AS duration_ms, 0 AS characters
    FROM found
    INNER JOIN generation_attempts
        ON found.id = generation_attempts.generation_id AND found.account_id = generation_attempts.account_id
),

generations_added AS (
    INSERT INTO analytics_generations AS kept (
        build, day, account_id, model, provider, operation, outcome, generations, partial_outputs, estimated_usages,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, credits, shortfall, calls,
        calls_of_unknown_cost, cost_microdollars, fallbacks_used, cache_hits, input_length, images, pixels, duration_ms,
        characters
    )
    SELECT
        %(build)s, counted.day, counted.account_id, counted.model, counted.provider, counted.operation, counted.outcome,
        sum(counted.generations), sum(counted.partial_outputs), sum(counted.estimated_usages),
        coalesce(sum(counted.input_tokens), 0), coalesce(sum(counted.output_tokens), 0),
        coalesce(sum(counted.cache_read_tokens), 0), coalesce(sum(counted.cache_write_tokens), 0),
        coalesce(sum(counted.reasoning_tokens), 0), 0, coalesce(sum(counted.shortfall), 0), sum(counted.calls),
        sum(counted.calls_of_unknown_cost), coalesce(sum(counted.cost_microdollars), 0),
        sum(counted.fallbacks_used), sum(counted.cache_hits), coalesce(sum(counted.input_length), 0),
        coalesce(sum(counted.images), 0), coalesce(sum(counted.pixels), 0), coalesce(sum(counted.duration_ms), 0),
        coalesce(sum(counted.characters), 0)
    FROM counted
    GROUP BY
        counted.day, counted.account_id, counted.model, counted.provider, counted.operation, counted.outcome
    ON CONFLICT (build, day, account_id, model, provider, operation, outcome) DO UPDATE
    SET
        generations = kept.generations + excluded.generations,
        partial_outputs = kept.partial_outputs + excluded.partial_outputs,
        estimated_usages = kept.estimated_usages + excluded.estimated_usages,
        input_tokens = kept.input_tokens + excluded.input_tokens,
        output_tokens = kept.output_tokens + excluded.output_tokens,
        cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
        reasoning_tokens = kept.reasoning_tokens + excluded.reasoning_tokens,
        shortfall = kept.shortfall + excluded.shortfall,
        calls = kept.calls + excluded.calls,
        calls_of_unknown_cost = kept.calls_of_unknown_cost + excluded.calls_of_unknown_cost,
        cost_microdollars = kept.cost_microdollars + excluded.cost_microdollars,
        fallbacks_used = kept.fallbacks_used + excluded.fallbacks_used,
        cache_hits = kept.cache_hits + excluded.cache_hits,
        input_length = kept.input_length + excluded.input_length,
        images = kept.images + excluded.images,
        pixels = kept.pixels + excluded.pixels,
        duration_ms = kept.duration_ms + excluded.duration_ms,
        characters = kept.characters + excluded.characters
),

measured AS (
    SELECT
        found.day, found.account_id, found.model, found.provider, found.operation, found.outcome, taken.measure,
        greatest(round(taken.ms * 1000), 0)::bigint AS us,
        ceil(
            ln(least(greatest(taken.ms, 1), 1e10)) / ln(1.05)
        )::smallint AS bucket
    FROM found
    CROSS JOIN LATERAL (
        VALUES
        (0, extract(EPOCH FROM found.finished_at - found.created_at)::double precision * 1000),
        (1, extract(EPOCH FROM found.first_token_at - found.created_at)::double precision * 1000),
        (2, found.database_us::double precision / 1000),
        (3, found.cache_read_us::double precision / 1000),
        (4, found.credit_us::double precision / 1000),
        (5, found.provider_us::double precision / 1000),
        (6, found.cache_write_us::double precision / 1000)
    ) AS taken (measure, ms)
    WHERE taken.ms IS NOT NULL
),

latencies_added AS (
    INSERT INTO analytics_latencies AS kept (
        build, day, account_id, model, provider, operation, outcome, measure, bucket, generations
    )
    SELECT
        %(build)s, measured.day, measured.account_id, measured.model, measured.provider, measured.operation,
        measured.outcome, measured.measure, measured.bucket, count(*)
    FROM measured
    GROUP BY
        measured.day, measured.account_id, measured.model, measured.provider, measured.operation, measured.outcome,
        measured.measure, measured.bucket
    ON CONFLICT (build, day, account_id, model, provider, operation, outcome, measure, bucket) DO UPDATE
    SET generations = kept.generations + excluded.generations
),

errors_added AS (
    INSERT INTO analytics_errors AS kept (
        build, day, account_id, model, provider, operation, error_class, generations
    )
    SELECT
        %(build)s, found.day, found.account_id, found.model, found.provider, found.operation, found.error_code, count(*)
    FROM found
    WHERE found.outcome = 4 AND found.error_code IS NOT NULL
    GROUP BY found.day, found.account_id, found.model, found.provider, found.operation, found.error_code
    ON CONFLICT (build, day, account_id, model, provider, operation, error_class) DO UPDATE
    SET generations = kept.generations + excluded.generations
),

-- The place of a time among the bounds of the metrics' histograms: how many bounds are below it.
timed AS (
    SELECT
        measured.provider, measured.operation, measured.measure, measured.us,
        width_bucket(measured.us - 1, %(bounds_us)s::bigint[]) AS bound
    FROM measured
),

counters AS (
    SELECT
        'generations' AS counter, counted.model, counted.provider, counted.operation,
        counted.outcome::text AS label, counted.generations AS amount
    FROM counted
    UNION ALL
    SELECT 'fallbacks', counted.model, counted.provider, counted.operation, '', counted.fallbacks_used
    FROM counted
    UNION ALL
    SELECT 'cache_hits', counted.model, counted.provider, counted.operation, '', counted.cache_hits
    FROM counted
    UNION ALL
    SELECT 'input_characters', counted.model, counted.provider, counted.operation, '', counted.input_length
    FROM counted
    UNION ALL
    SELECT 'calls', counted.model, counted.provider, counted.operation, '', counted.calls
    FROM counted
    UNION ALL
    SELECT 'cost_microdollars', counted.model, counted.provider, counted.operation, '', counted.cost_microdollars
    FROM counted
    UNION ALL
    SELECT 'errors', found.model, found.provider, found.operation, found.error_code, 1
    FROM found
    WHERE found.outcome = 4 AND found.error_code IS NOT NULL
    UNION ALL
    SELECT 'times', '', timed.provider, timed.operation, timed.measure || ' ' || timed.bound, 1
    FROM timed
    UNION ALL
    SELECT 'time_us', '', timed.provider, timed.operation, timed.measure::text, timed.us
    FROM timed
),

totals_added AS (
    INSERT INTO analytics_totals AS kept (build, counter, model, provider, operation, label, total)
    SELECT
        %(build)s, counters.counter, counters.model, counters.provider, counters.operation, counters.label,
        sum(counters.amount)
    FROM counters
    GROUP BY counters.counter, counters.model, counters.provider, counters.operation, counters.label
    HAVING sum(counters.amount) > 0
    ON CONFLICT (build, counter, model, provider, operation, label) DO UPDATE
    SET total = kept.total + excluded.total
),

days_added AS (
    INSERT INTO analytics_account_days AS kept (build, day, account_id, generations)
    SELECT
        %(build)s, found.day, found.account_id, count(*)
    FROM found
    GROUP BY found.day, found.account_id
    ON CONFLICT (build, day, account_id) DO UPDATE
    SET generations = kept.generations + excluded.generations
)

SELECT count(*) FROM found
