-- Find rows of the analytics that differ between those made anew in temporary tables and those that are kept.
-- Returns: one row for each: its table, account and day; at most so many.
WITH anew AS (
    SELECT
        'analytics_generations' AS name, to_jsonb(analytics_generations) AS figure
    FROM pg_temp.analytics_generations
    UNION ALL
    SELECT
        'analytics_latencies' AS name, to_jsonb(analytics_latencies) AS figure
    FROM pg_temp.analytics_latencies
    UNION ALL
    SELECT
        'analytics_totals' AS name, to_jsonb(analytics_totals) AS figure
    FROM pg_temp.analytics_totals
    UNION ALL
    SELECT
        'analytics_errors' AS name, to_jsonb(analytics_errors) AS figure
    FROM pg_temp.analytics_errors
    UNION ALL
    SELECT
        'analytics_revenue' AS name, to_jsonb(analytics_revenue) AS figure
    FROM pg_temp.analytics_revenue
    UNION ALL
    SELECT
        'analytics_account_days' AS name, to_jsonb(analytics_account_days) AS figure
    FROM pg_temp.analytics_account_days
    UNION ALL
    SELECT
        'analytics_accounts' AS name, to_jsonb(analytics_accounts) AS figure
    FROM pg_temp.analytics_accounts
),

kept AS (
    SELECT
        'analytics_generations' AS name, to_jsonb(analytics_generations) AS figure
    FROM public.analytics_generations
    WHERE analytics_generations.build = %(build)s
    UNION ALL
    SELECT
        'analytics_latencies' AS name, to_jsonb(analytics_latencies) AS figure
    FROM public.analytics_latencies
    WHERE analytics_latencies.build = %(build)s
    UNION ALL
    SELECT
        'analytics_totals' AS name, to_jsonb(analytics_totals) AS figure
    FROM public.analytics_totals
    WHERE analytics_totals.build = %(build)s
    UNION ALL
    SELECT
        'analytics_errors' AS name, to_jsonb(analytics_errors) AS figure
    FROM public.analytics_errors
    WHERE analytics_errors.build = %(build)s
    UNION ALL
    SELECT
        'analytics_revenue' AS name, to_jsonb(analytics_revenue) AS figure
    FROM public.analytics_revenue
    WHERE analytics_revenue.build = %(build)s
    UNION ALL
    SELECT
        'analytics_account_days' AS name, to_jsonb(analytics_account_days) AS figure
    FROM public.analytics_account_days
    WHERE analytics_account_days.build = %(build)s
    UNION ALL
    SELECT
        'analytics_accounts' AS name, to_jsonb(analytics_accounts) AS figure
    FROM public.analytics_accounts
    WHERE analytics_accounts.build = %(build)s
),

differences AS (
    (
        SELECT * FROM anew
        EXCEPT ALL
        SELECT * FROM kept
    )
    UNION ALL
    (
        SELECT * FROM kept
        EXCEPT ALL
        SELECT * FROM anew
    )
)

SELECT DISTINCT
    differences.name, (differences.figure ->> 'account_id')::uuid AS account_id,
    coalesce(differences.figure ->> 'day', differences.figure ->> 'opened_on') AS day
FROM differences
ORDER BY day, differences.name, account_id
LIMIT %(limit)s
