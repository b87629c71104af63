-- Read the period of a subscription that begins last, of those that other payments were made for.
-- Returns: at most one row: plan, version, region, begin and end.
SELECT
    subscription_periods.plan, subscription_periods.plan_version, subscription_periods.region,
    subscription_periods.begins_at, subscription_periods.ends_at
FROM subscription_periods
WHERE
    subscription_periods.gateway = %(gateway)s
    AND subscription_periods.subscription_id = %(subscription_id)s
    AND subscription_periods.payment_id <> %(payment_id)s
ORDER BY subscription_periods.begins_at DESC
LIMIT 1
