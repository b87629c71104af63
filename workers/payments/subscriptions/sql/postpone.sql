-- Say when the clock is to look at a subscription again, unless it was changed meanwhile.
-- Returns: nothing.
UPDATE subscriptions
SET due_at = %(due_at)s
WHERE
    subscriptions.gateway = %(gateway)s
    AND subscriptions.subscription_id = %(subscription_id)s
    AND subscriptions.revision = %(revision)s
