-- Set what used credits were bought for against what providers cost us, by one thing and currency, after a place.
-- Costs are US dollars, so they stand against what was paid in them; nothing is converted.
-- The first columns say what the figures cover; where there are no figures they stand alone, in one row.
-- Returns: seq, when that was, sealed events not yet in, place, key, currency, credits, revenue, cost, margin, the share of
--          revenue that is margin, calls, and how many of them cost nobody knows what. Money is decimal text.
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
        (
            CASE %(by)s
                WHEN 'user' THEN analytics_revenue.account_id::text
                WHEN 'model' THEN analytics_revenue.model
                WHEN 'provider' THEN analytics_revenue.provider
                WHEN 'operation' THEN analytics_revenue.operation
                WHEN 'day' THEN analytics_revenue.day::text
            END
        ) COLLATE "C" AS key, -- noqa: RF03
        analytics_revenue.currency, analytics_revenue.credits, analytics_revenue.revenue,
        0::numeric AS cost_microdollars, 0::bigint AS calls, 0::bigint AS calls_of_unknown_cost
    FROM analytics_revenue
    WHERE
        analytics_revenue.build = (SELECT build.build FROM build)
        AND analytics_revenue.day BETWEEN %(first_day)s AND %(last_day)s
    UNION ALL
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
        'USD' AS currency, 0::bigint AS credits, 0::numeric AS revenue,
        analytics_generations.cost_microdollars, analytics_generations.calls,
        analytics_generations.calls_of_unknown_cost
    FROM analytics_generations
    WHERE
        analytics_generations.build = (SELECT build.build FROM build)
        AND analytics_generations.day BETWEEN %(first_day)s AND %(last_day)s
        AND analytics_generations.calls > 0
),

figures AS (
    SELECT
        parts.key || ' ' || parts.currency AS place,
        parts.key, parts.currency,
        sum(parts.credits) AS credits,
        round(sum(parts.revenue), 6) AS revenue,
        sum(parts.cost_microdollars) / 1000000 AS cost,
        sum(parts.calls) AS calls,
        sum(parts.calls_of_unknown_cost) AS calls_of_unknown_cost
    FROM parts
    GROUP BY parts.key, parts.currency
),

page AS (
    SELECT figures.*
    FROM figures
    WHERE figures.place > %(after)s
    ORDER BY figures.place
    LIMIT %(limit)s
)

SELECT
    build.seq, build.updated_at, build.behind, page.place, page.key, page.currency, page.credits,
    trim_scale(page.revenue)::text, trim_scale(page.cost)::text, trim_scale(page.revenue - page.cost)::text,
    trim_scale(round((page.revenue - page.cost) / nullif(page.revenue, 0), 4))::text, page.calls,
    page.calls_of_unknown_cost
FROM build
LEFT JOIN page ON TRUE
ORDER BY page.place
