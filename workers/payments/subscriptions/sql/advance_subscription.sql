-- Let the next period of a subscription begin that was charged for by us, and record that; one that has ended stays so.
-- Returns: nothing.
WITH advanced AS (
    UPDATE subscriptions
    SET
        status = 1,
        plan = %(plan)s,
        plan_version = %(plan_version)s,
        region = %(region)s,
        next_plan = CASE WHEN subscriptions.next_plan = %(plan)s THEN NULL ELSE subscriptions.next_plan END,
        next_plan_version
        = CASE WHEN subscriptions.next_plan = %(plan)s THEN NULL ELSE subscriptions.next_plan_version END,
        period_begins_at = %(begins_at)s,
        period_ends_at = %(ends_at)s,
        anchored_at
        = CASE WHEN subscriptions.period_ends_at = %(begins_at)s THEN subscriptions.anchored_at ELSE %(begins_at)s END,
        asked_at = greatest(subscriptions.asked_at, %(asked_at)s),
        revision = subscriptions.revision + 1,
        tries = 0,
        try_at = %(ends_at)s,
        due_at = %(ends_at)s,
        updated_at = now()
    WHERE
        subscriptions.gateway = %(gateway)s
        AND subscriptions.subscription_id = %(subscription_id)s
        AND subscriptions.status <> 4
        AND subscriptions.period_begins_at < %(begins_at)s
    RETURNING
        subscriptions.gateway, subscriptions.subscription_id, subscriptions.revision, subscriptions.status,
        subscriptions.plan, subscriptions.plan_version, subscriptions.region, subscriptions.next_plan,
        subscriptions.next_plan_version, subscriptions.period_begins_at, subscriptions.period_ends_at,
        subscriptions.ends_at_period_end, subscriptions.asked_at
)

INSERT INTO subscription_changes (
    gateway, subscription_id, revision, status, plan, plan_version, region, next_plan, next_plan_version,
    period_begins_at, period_ends_at, ends_at_period_end, asked_at, changes
)
SELECT
    advanced.gateway, advanced.subscription_id, advanced.revision, advanced.status, advanced.plan, advanced.plan_version,
    advanced.region, advanced.next_plan, advanced.next_plan_version, advanced.period_begins_at, advanced.period_ends_at,
    advanced.ends_at_period_end, advanced.asked_at, ARRAY['renewed']
FROM advanced
