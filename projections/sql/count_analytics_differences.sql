-- Count the figures in which two builds differ. Sums cannot be cut off at an event, so both must be at the same one.
-- Returns: one row.
WITH figures AS (
    SELECT
        analytics_generations.build, 'analytics_generations' AS name,
        to_jsonb(analytics_generations) - 'build' AS figure
    FROM analytics_generations
    UNION ALL
    SELECT
        analytics_latencies.build, 'analytics_latencies' AS name, to_jsonb(analytics_latencies) - 'build' AS figure
    FROM analytics_latencies
    UNION ALL
    SELECT
        analytics_totals.build, 'analytics_totals' AS name, to_jsonb(analytics_totals) - 'build' AS figure
    FROM analytics_totals
    UNION ALL
    SELECT
        analytics_errors.build, 'analytics_errors' AS name, to_jsonb(analytics_errors) - 'build' AS figure
    FROM analytics_errors
    UNION ALL
    SELECT
        analytics_revenue.build, 'analytics_revenue' AS name, to_jsonb(analytics_revenue) - 'build' AS figure
    FROM analytics_revenue
    UNION ALL
    SELECT
        analytics_account_days.build, 'analytics_account_days' AS name,
        to_jsonb(analytics_account_days) - 'build' AS figure
    FROM analytics_account_days
    UNION ALL
    SELECT
        analytics_accounts.build, 'analytics_accounts' AS name, to_jsonb(analytics_accounts) - 'build' AS figure
    FROM analytics_accounts
),

old_rows AS (
    SELECT
        figures.name,
        figures.figure
    FROM figures
    WHERE figures.build = %(old)s
),

new_rows AS (
    SELECT
        figures.name,
        figures.figure
    FROM figures
    WHERE figures.build = %(new)s
),

differences AS (
    (
        SELECT * FROM old_rows
        EXCEPT ALL
        SELECT * FROM new_rows
    )
    UNION ALL
    (
        SELECT * FROM new_rows
        EXCEPT ALL
        SELECT * FROM old_rows
    )
)

SELECT count(*) FROM differences
