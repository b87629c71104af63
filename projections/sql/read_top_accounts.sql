-- Find the accounts that spent, bought or generated most.
-- The first columns say what the figures cover; where there are no figures they stand alone, in one row.
-- Returns: seq, when that was, sealed events not yet in, account, spent, bought, granted, purchases, generations and
--          active days.
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
        analytics_account_days.account_id,
        sum(analytics_account_days.spent) AS spent,
        sum(analytics_account_days.bought) AS bought,
        sum(analytics_account_days.granted) AS granted,
        sum(analytics_account_days.purchases) AS purchases,
        sum(analytics_account_days.generations) AS generations,
        count(*) FILTER (
            WHERE analytics_account_days.freezes + analytics_account_days.charges + analytics_account_days.generations > 0
        ) AS active_days
    FROM analytics_account_days
    WHERE
        analytics_account_days.build = (SELECT build.build FROM build)
        AND analytics_account_days.day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY analytics_account_days.account_id
),

ranked AS (
    SELECT
        figures.*,
        CASE %(by)s
            WHEN 'spent' THEN figures.spent
            WHEN 'bought' THEN figures.bought
            WHEN 'generations' THEN figures.generations
        END AS rank
    FROM figures
),

page AS (
    SELECT ranked.*
    FROM ranked
    WHERE ranked.rank > 0
    ORDER BY ranked.rank DESC, ranked.account_id ASC
    LIMIT %(limit)s
)

SELECT
    build.seq, build.updated_at, build.behind, page.account_id, page.spent, page.bought, page.granted, page.purchases,
    page.generations, page.active_days
FROM build
LEFT JOIN page ON TRUE
ORDER BY page.rank DESC, page.account_id ASC
