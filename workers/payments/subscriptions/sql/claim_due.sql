-- Take subscriptions that the clock has to charge for or to end, for as long as a lease.
-- Returns: one row each, as `Subscription` reads it.
UPDATE subscriptions
SET due_at = %(leased_until)s
FROM (
    SELECT
        due.gateway, due.subscription_id
    FROM subscriptions AS due
    WHERE due.due_at <= %(now)s
    ORDER BY due.due_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) AS taken
WHERE subscriptions.gateway = taken.gateway AND subscriptions.subscription_id = taken.subscription_id
RETURNING
    subscriptions.gateway, subscriptions.subscription_id, subscriptions.account_id, subscriptions.order_id,
    subscriptions.status, subscriptions.plan, subscriptions.plan_version, subscriptions.region, subscriptions.next_plan,
    subscriptions.next_plan_version, subscriptions.period_begins_at, subscriptions.period_ends_at,
    subscriptions.anchored_at, subscriptions.ends_at_period_end, subscriptions.customer_id, subscriptions.method_id,
    subscriptions.method_label, subscriptions.asked_at, subscriptions.revision, subscriptions.tries,
    subscriptions.try_at, subscriptions.due_at
