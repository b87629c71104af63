-- Note what a payment is for.
-- Returns: nothing.
-- Raises:  subscription_periods_subscription   the subscription has got another id meanwhile
INSERT INTO subscription_periods (
    gateway, payment_id, subscription_id, account_id, order_id, plan, plan_version, region, begins_at, ends_at, credits,
    rollover_cap
)
VALUES (
    %(gateway)s, %(payment_id)s, %(subscription_id)s, %(account_id)s, %(order_id)s, %(plan)s, %(plan_version)s,
    %(region)s, %(begins_at)s, %(ends_at)s, %(credits)s, %(rollover_cap)s
)
