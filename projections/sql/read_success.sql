-- Count how generations ended (2 completed, 3 cancelled, 4 failed), by one thing, after a key.
-- The first columns say what the figures cover; where there are no figures they stand alone, in one row.
-- Returns: seq, when that was, sealed events not yet in, key, counts, the share that completed, and how many
--          and which share were served by a fallback, and by the prompt cache. Shares have four places.
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
        coalesce(sum(analytics_generations.generations) FILTER (WHERE analytics_generations.outcome = 2), 0) AS completed,
        coalesce(sum(analytics_generations.generations) FILTER (WHERE analytics_generations.outcome = 3), 0) AS cancelled,
        coalesce(sum(analytics_generations.generations) FILTER (WHERE analytics_generations.outcome = 4), 0) AS failed,
        sum(analytics_generations.partial_outputs) AS partial_outputs,
        sum(analytics_generations.fallbacks_used) AS fallbacks_used,
        sum(analytics_generations.cache_hits) AS cache_hits
    FROM analytics_generations
    WHERE
        analytics_generations.build = (SELECT build.build FROM build)
        AND analytics_generations.day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY key
),

page AS (
    SELECT figures.*
    FROM figures
    WHERE figures.key > %(after)s AND figures.generations > 0
    ORDER BY figures.key
    LIMIT %(limit)s
)

SELECT
    build.seq, build.updated_at, build.behind, page.key, page.generations, page.completed, page.cancelled, page.failed,
    page.partial_outputs, trim_scale(round(page.completed / nullif(page.completed + page.failed, 0), 4))::text,
    page.fallbacks_used, trim_scale(round(page.fallbacks_used / nullif(page.generations, 0), 4))::text,
    page.cache_hits, trim_scale(round(page.cache_hits / nullif(page.generations, 0), 4))::text
FROM build
LEFT JOIN page ON TRUE
ORDER BY page.key
