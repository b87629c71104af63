-- Count generations that failed by one thing and the class of their error, after a place.
-- The first columns say what the figures cover; where there are no figures they stand alone, in one row.
-- Returns: seq, when that was, sealed events not yet in, place, key, class, count, and the share of those that completed or
--          failed, to four places.
WITH build AS (
    SELECT
        projection_builds.build, projection_builds.seq, projection_builds.updated_at,
        greatest(0, (SELECT max(ticks.size) FROM ticks) - projection_builds.seq) AS behind
    FROM projections
    INNER JOIN projection_builds
        ON projections.name = projection_builds.name AND projections.active = projection_builds.build
    WHERE projections.name = 'analytics'
),

failures AS (
    SELECT
        (
            CASE %(by)s
                WHEN 'user' THEN analytics_errors.account_id::text
                WHEN 'model' THEN analytics_errors.model
                WHEN 'provider' THEN analytics_errors.provider
                WHEN 'operation' THEN analytics_errors.operation
                WHEN 'day' THEN analytics_errors.day::text
            END
        ) COLLATE "C" AS key, -- noqa: RF03
        analytics_errors.error_class, sum(analytics_errors.generations) AS generations
    FROM analytics_errors
    WHERE
        analytics_errors.build = (SELECT build.build FROM build)
        AND analytics_errors.day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY key, analytics_errors.error_class
),

-- The rows of outcomes 2 and 4: to cancel is the user's choice.
ended AS (
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
        sum(analytics_generations.generations) AS generations
    FROM analytics_generations
    WHERE
        analytics_generations.build = (SELECT build.build FROM build)
        AND analytics_generations.day BETWEEN %(first_day)s AND %(last_day)s
        AND analytics_generations.outcome IN (2, 4)
    GROUP BY key
),

page AS (
    SELECT
        failures.key || ' ' || failures.error_class AS place,
        failures.key, failures.error_class, failures.generations, ended.generations AS of_all
    FROM failures
    INNER JOIN ended ON failures.key = ended.key
    WHERE failures.key || ' ' || failures.error_class > %(after)s
    ORDER BY place
    LIMIT %(limit)s
)

SELECT
    build.seq, build.updated_at, build.behind, page.place, page.key, page.error_class, page.generations,
    trim_scale(round(page.generations / nullif(page.of_all, 0), 4))::text
FROM build
LEFT JOIN page ON TRUE
ORDER BY page.place
