-- Count, day by day, the accounts that did something, bought credits, or were opened.
-- Returns: seq, when that was, sealed events not yet in, day, active, generating, buying and opened accounts.
WITH build AS (
    SELECT
        projection_builds.build, projection_builds.seq, projection_builds.updated_at,
        greatest(0, (SELECT max(ticks.size) FROM ticks) - projection_builds.seq) AS behind
    FROM projections
    INNER JOIN projection_builds
        ON projections.name = projection_builds.name AND projections.active = projection_builds.build
    WHERE projections.name = 'analytics'
),

days AS (
    SELECT series.day::date AS day
    FROM generate_series(%(first_day)s::date, %(last_day)s::date, interval '1 day') AS series (day)
),

active AS (
    SELECT
        analytics_account_days.day,
        count(*) FILTER (
            WHERE analytics_account_days.freezes + analytics_account_days.charges + analytics_account_days.generations > 0
        ) AS active_accounts,
        count(*) FILTER (WHERE analytics_account_days.generations > 0) AS generating_accounts,
        count(*) FILTER (WHERE analytics_account_days.purchases > 0) AS buying_accounts
    FROM analytics_account_days
    WHERE
        analytics_account_days.build = (SELECT build.build FROM build)
        AND analytics_account_days.day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY analytics_account_days.day
),

opened AS (
    SELECT analytics_accounts.opened_on AS day, count(*) AS opened_accounts
    FROM analytics_accounts
    WHERE
        analytics_accounts.build = (SELECT build.build FROM build)
        AND analytics_accounts.opened_on BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY analytics_accounts.opened_on
)

SELECT
    build.seq, build.updated_at, build.behind, days.day, coalesce(active.active_accounts, 0),
    coalesce(active.generating_accounts, 0), coalesce(active.buying_accounts, 0), coalesce(opened.opened_accounts, 0)
FROM build
CROSS JOIN days
LEFT JOIN active ON days.day = active.day
LEFT JOIN opened ON days.day = opened.day
ORDER BY days.day
