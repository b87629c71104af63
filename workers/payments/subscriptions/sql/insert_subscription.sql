-- Note a subscription that is new to us, unless somebody else did meanwhile.
-- Returns: its revision, if it was new.
-- Raises:  subscriptions_account   there is no such account
INSERT INTO subscriptions (
    gateway, subscription_id, account_id, order_id, status, plan, plan_version, region, next_plan, next_plan_version,
    period_begins_at, period_ends_at, anchored_at, ends_at_period_end, customer_id, method_id, method_label, asked_at,
    revision, tries, try_at, due_at
)
VALUES (
    %(gateway)s, %(subscription_id)s, %(account_id)s, %(order_id)s, %(status)s, %(plan)s, %(plan_version)s, %(region)s,
    %(next_plan)s, %(next_plan_version)s, %(period_begins_at)s, %(period_ends_at)s, %(anchored_at)s,
    %(ends_at_period_end)s, %(customer_id)s, %(method_id)s, %(method_label)s, %(asked_at)s, %(revision)s, %(tries)s,
    %(try_at)s, %(due_at)s
)
ON CONFLICT DO NOTHING
RETURNING subscriptions.revision
