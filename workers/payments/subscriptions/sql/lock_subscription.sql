-- Read a subscription by its id at its gateway, or else the one that began with an order, and keep others from changing it.
-- Returns: at most one row, as `Subscription` reads it.
SELECT
    subscriptions.gateway, subscriptions.subscription_id, subscriptions.account_id, subscriptions.order_id,
    subscriptions.status, subscriptions.plan, subscriptions.plan_version, subscriptions.region, subscriptions.next_plan,
    subscriptions.next_plan_version, subscriptions.period_begins_at, subscriptions.period_ends_at,
    subscriptions.anchored_at, subscriptions.ends_at_period_end, subscriptions.customer_id, subscriptions.method_id,
    subscriptions.method_label, subscriptions.asked_at, subscriptions.revision, subscriptions.tries,
    subscriptions.try_at, subscriptions.due_at
FROM subscriptions
WHERE
    subscriptions.gateway = %(gateway)s
    AND (subscriptions.subscription_id = %(subscription_id)s OR subscriptions.order_id = %(order_id)s)
ORDER BY subscriptions.subscription_id <> %(subscription_id)s
LIMIT 1
FOR UPDATE
