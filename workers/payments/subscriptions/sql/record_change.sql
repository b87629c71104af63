-- Record what a subscription is now, and what of it is new; once for each revision.
-- Returns: nothing.
INSERT INTO subscription_changes (
    gateway, subscription_id, revision, status, plan, plan_version, region, next_plan, next_plan_version,
    period_begins_at, period_ends_at, ends_at_period_end, asked_at, changes
)
SELECT
    subscriptions.gateway, subscriptions.subscription_id, subscriptions.revision, subscriptions.status,
    subscriptions.plan, subscriptions.plan_version, subscriptions.region, subscriptions.next_plan,
    subscriptions.next_plan_version, subscriptions.period_begins_at, subscriptions.period_ends_at,
    subscriptions.ends_at_period_end, subscriptions.asked_at, %(changes)s::text[]
FROM subscriptions
WHERE subscriptions.gateway = %(gateway)s AND subscriptions.subscription_id = %(subscription_id)s
ON CONFLICT ON CONSTRAINT subscription_changes_revision DO NOTHING
