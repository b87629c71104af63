-- Read for which period a renewal is.
-- Returns: at most one row: the subscription's id, begin and end.
SELECT
    subscription_renewals.subscription_id, subscription_renewals.begins_at, subscription_renewals.ends_at
FROM subscription_renewals
WHERE subscription_renewals.order_id = %(order_id)s
