-- Add up what generations used, by one thing, after a key; percentiles are of those that completed (outcome 2).
-- The first columns say what the figures cover; where there are no figures they stand alone, in one row.
-- Returns: seq, when that was, sealed events not yet in, key, figures, and a bucket of the histograms for each percentile.
WITH build AS (
    SELECT
        projection_builds.build, projection_builds.seq, projection_builds.updated_at,
        greatest(0, (SELECT max(ticks.size) FROM ticks) - projection_builds.seq) AS behind
    FROM projections
    INNER JOIN projection_builds
        ON projections.name = projection_builds.name AND projections.active = projection_builds.build
    WHERE projections.name = 'analytics'
),

figures AS (
    SELECT
        (
            CASE %(by)s
                WHEN 'user' THEN analytics_generations.account_id::text
                WHEN 'model' THEN analytics_generations.model
                WHEN 'provider' THEN analytics_generations.provider
                WHEN 'operation' THEN analytics_generations.operation
                WHEN 'day' THEN analytics_generations.day::text
            END
        ) COLLATE "C" AS key, -- noqa: RF03
        sum(analytics_generations.generations) AS generations,
        sum(analytics_generations.input_tokens) AS input_tokens,
        sum(analytics_generations.output_tokens) AS output_tokens,
        sum(analytics_generations.cache_read_tokens) AS cache_read_tokens,
        sum(analytics_generations.cache_write_tokens) AS cache_write_tokens,
        sum(analytics_generations.reasoning_tokens) AS reasoning_tokens,
        sum(analytics_generations.credits) AS credits,
        sum(analytics_generations.shortfall) AS shortfall,
        sum(analytics_generations.calls) AS calls,
        sum(analytics_generations.calls_of_unknown_cost) AS calls_of_unknown_cost,
        sum(analytics_generations.cost_microdollars) AS cost_microdollars,
        sum(analytics_generations.input_length) AS input_length,
        sum(analytics_generations.images) AS images,
        sum(analytics_generations.pixels) AS pixels,
        sum(analytics_generations.duration_ms) AS duration_ms,
        sum(analytics_generations.characters) AS characters
    FROM analytics_generations
    WHERE
        analytics_generations.build = (SELECT build.build FROM build)
        AND analytics_generations.day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY key
),

page AS (
    SELECT figures.*
    FROM figures
    WHERE figures.key > %(after)s
    ORDER BY figures.key
    LIMIT %(limit)s
),

buckets AS (
    SELECT
        (
            CASE %(by)s
                WHEN 'user' THEN analytics_latencies.account_id::text
                WHEN 'model' THEN analytics_latencies.model
                WHEN 'provider' THEN analytics_latencies.provider
                WHEN 'operation' THEN analytics_latencies.operation
                WHEN 'day' THEN analytics_latencies.day::text
            END
        ) COLLATE "C" AS key, -- noqa: RF03
        analytics_latencies.measure, analytics_latencies.bucket, sum(analytics_latencies.generations) AS generations
    FROM analytics_latencies
    WHERE
        analytics_latencies.build = (SELECT build.build FROM build)
        AND analytics_latencies.day BETWEEN %(first_day)s AND %(last_day)s
        AND analytics_latencies.outcome = 2
        AND analytics_latencies.measure IN (0, 1)
    GROUP BY key, analytics_latencies.measure, analytics_latencies.bucket
),

cumulated AS (
    SELECT
        buckets.key, buckets.measure, buckets.bucket,
        sum(buckets.generations) OVER (PARTITION BY buckets.key, buckets.measure ORDER BY buckets.bucket) AS up_to,
        sum(buckets.generations) OVER (PARTITION BY buckets.key, buckets.measure) AS of_all
    FROM buckets
),

percentiles AS (
    SELECT
        cumulated.key,
        min(cumulated.bucket) FILTER (
            WHERE cumulated.measure = 0 AND cumulated.up_to * 100 >= cumulated.of_all * 50
        ) AS latency_p50,
        min(cumulated.bucket) FILTER (
            WHERE cumulated.measure = 0 AND cumulated.up_to * 100 >= cumulated.of_all * 95
        ) AS latency_p95,
        min(cumulated.bucket) FILTER (
            WHERE cumulated.measure = 0 AND cumulated.up_to * 100 >= cumulated.of_all * 99
        ) AS latency_p99,
        min(cumulated.bucket) FILTER (
            WHERE cumulated.measure = 1 AND cumulated.up_to * 100 >= cumulated.of_all * 50
        ) AS first_token_p50,
        min(cumulated.bucket) FILTER (
            WHERE cumulated.measure = 1 AND cumulated.up_to * 100 >= cumulated.of_all * 95
        ) AS first_token_p95,
        min(cumulated.bucket) FILTER (
            WHERE cumulated.measure = 1 AND cumulated.up_to * 100 >= cumulated.of_all * 99
        ) AS first_token_p99
    FROM cumulated
    GROUP BY cumulated.key
)

SELECT
    build.seq, build.updated_at, build.behind, page.key, page.generations, page.input_tokens, page.output_tokens,
    page.cache_read_tokens, page.cache_write_tokens, page.reasoning_tokens, page.credits, page.shortfall, page.calls,
    page.calls_of_unknown_cost, page.cost_microdollars, percentiles.latency_p50, percentiles.latency_p95,
    percentiles.latency_p99, percentiles.first_token_p50, percentiles.first_token_p95, percentiles.first_token_p99,
    page.input_length, page.images, page.pixels, page.duration_ms, page.characters
FROM build
LEFT JOIN page ON TRUE
LEFT JOIN percentiles ON page.key = percentiles.key
ORDER BY page.key
