-- Say where the time of generations that completed (outcome 2) went, by one thing and part of the time, after a place.
-- The first columns say what the figures cover; where there are no figures they stand alone, in one row.
-- Returns: seq, when that was, sealed events not yet in, place, key, part, how many were measured, and the bucket of the
--          histogram for each percentile.
WITH build AS (
    SELECT
        projection_builds.build, projection_builds.seq, projection_builds.updated_at,
        greatest(0, (SELECT max(ticks.size) FROM ticks) - projection_builds.seq) AS behind
    FROM projections
    INNER JOIN projection_builds
        ON projections.name = projection_builds.name AND projections.active = projection_builds.build
    WHERE projections.name = 'analytics'
),

parts AS (
    SELECT
        part.measure, part.name
    FROM (
        VALUES
        (0, 'total'),
        (1, 'first_token'),
        (2, 'database'),
        (3, 'cache_read'),
        (4, 'credit'),
        (5, 'provider'),
        (6, 'cache_write')
    ) AS part (measure, name)
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
    GROUP BY key, analytics_latencies.measure, analytics_latencies.bucket
),

cumulated AS (
    SELECT
        buckets.key, buckets.measure, buckets.bucket,
        sum(buckets.generations) OVER (PARTITION BY buckets.key, buckets.measure ORDER BY buckets.bucket) AS up_to,
        sum(buckets.generations) OVER (PARTITION BY buckets.key, buckets.measure) AS of_all
    FROM buckets
),

figures AS (
    SELECT
        cumulated.key || ' ' || parts.name AS place,
        cumulated.key, parts.name,
        max(cumulated.of_all) AS generations,
        min(cumulated.bucket) FILTER (WHERE cumulated.up_to * 100 >= cumulated.of_all * 50) AS p50,
        min(cumulated.bucket) FILTER (WHERE cumulated.up_to * 100 >= cumulated.of_all * 95) AS p95,
        min(cumulated.bucket) FILTER (WHERE cumulated.up_to * 100 >= cumulated.of_all * 99) AS p99
    FROM cumulated
    INNER JOIN parts ON cumulated.measure = parts.measure
    GROUP BY cumulated.key, parts.name
),

page AS (
    SELECT figures.*
    FROM figures
    WHERE figures.place > %(after)s
    ORDER BY figures.place
    LIMIT %(limit)s
)

SELECT
    build.seq, build.updated_at, build.behind, page.place, page.key, page.name, page.generations, page.p50, page.p95,
    page.p99
FROM build
LEFT JOIN page ON TRUE
ORDER BY page.place
