-- Read whose free credits of the day are due, and what of it a plan says that is being paid for.
-- Returns: per account: its id, begin and end of the day for which it was given some last, and its plans.
SELECT
    daily_credits.account_id, daily_credits.begins_at, daily_credits.ends_at,
    array_agg(subscriptions.plan) FILTER (WHERE subscriptions.plan IS NOT NULL) AS plans,
    array_agg(subscriptions.plan_version) FILTER (WHERE subscriptions.plan IS NOT NULL) AS plan_versions
FROM (
    SELECT
        due.account_id, due.begins_at, due.ends_at, due.due_at
    FROM daily_credits AS due
    WHERE due.due_at <= %(now)s
    ORDER BY due.due_at
    LIMIT %(limit)s
) AS daily_credits
LEFT JOIN subscriptions ON daily_credits.account_id = subscriptions.account_id AND subscriptions.status = 1
GROUP BY daily_credits.account_id, daily_credits.begins_at, daily_credits.ends_at
