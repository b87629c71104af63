-- Change a subscription that is locked, also to the id that its gateway has for it.
-- Returns: nothing.
UPDATE subscriptions
SET
    subscription_id = %(subscription_id)s,
    order_id = %(order_id)s,
    status = %(status)s,
    plan = %(plan)s,
    plan_version = %(plan_version)s,
    region = %(region)s,
    next_plan = %(next_plan)s,
    next_plan_version = %(next_plan_version)s,
    period_begins_at = %(period_begins_at)s,
    period_ends_at = %(period_ends_at)s,
    anchored_at = %(anchored_at)s,
    ends_at_period_end = %(ends_at_period_end)s,
    customer_id = %(customer_id)s,
    method_id = %(method_id)s,
    method_label = %(method_label)s,
    asked_at = %(asked_at)s,
    revision = %(revision)s,
    tries = %(tries)s,
    try_at = %(try_at)s,
    due_at = %(due_at)s,
    updated_at = now()
WHERE subscriptions.gateway = %(gateway)s AND subscriptions.subscription_id = %(known_as)s
