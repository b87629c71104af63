-- Read the subscription of an account: the newest one that goes on, else the newest one.
-- Returns: at most one row, as `Subscription` reads it.
SELECT
    subscriptions.gateway, subscriptions.subscription_id, subscriptions.account_id, subscriptions.order_id,
    subscriptions.status, subscriptions.plan, subscriptions.plan_version, subscriptions.region, subscriptions.next_plan,
    subscriptions.next_plan_version, subscriptions.period_begins_at, subscriptions.period_ends_at,
    subscriptions.anchored_at, subscriptions.ends_at_period_end, subscriptions.customer_id, subscriptions.method_id,
    subscriptions.method_label, subscriptions.asked_at, subscriptions.revision, subscriptions.tries,
    subscriptions.try_at, subscriptions.due_at
FROM subscriptions
WHERE subscriptions.account_id = %(account_id)s
ORDER BY subscriptions.status IN (0, 4), subscriptions.status = 4, subscriptions.created_at DESC
LIMIT 1
