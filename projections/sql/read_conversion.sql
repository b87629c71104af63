-- Count, by the day on which accounts were opened, those that bought credits within so many days.
-- Returns: seq, when that was, sealed events not yet in, day, accounts opened, those that bought within the time, those that
--          bought at any time, and the share that did within the time, to four places.
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

opened AS (
    SELECT
        analytics_accounts.opened_on AS day,
        count(*) AS accounts,
        count(*) FILTER (
            WHERE
            analytics_accounts.first_bought_at < analytics_accounts.opened_at + %(within_days)s * interval '1 day'
        ) AS converted,
        count(analytics_accounts.first_bought_at) AS bought_ever
    FROM analytics_accounts
    WHERE
        analytics_accounts.build = (SELECT build.build FROM build)
        AND analytics_accounts.opened_on BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY analytics_accounts.opened_on
)

SELECT
    build.seq, build.updated_at, build.behind, days.day, coalesce(opened.accounts, 0), coalesce(opened.converted, 0),
    coalesce(opened.bought_ever, 0), trim_scale(round(opened.converted::numeric / opened.accounts, 4))::text
FROM build
CROSS JOIN days
LEFT JOIN opened ON days.day = opened.day
ORDER BY days.day
