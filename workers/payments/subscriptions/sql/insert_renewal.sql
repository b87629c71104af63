-- Write for which period a renewal is, unless that is there already.
-- Returns: nothing.
INSERT INTO subscription_renewals (order_id, gateway, subscription_id, begins_at, ends_at, tries)
VALUES (%(order_id)s, %(gateway)s, %(subscription_id)s, %(begins_at)s, %(ends_at)s, %(tries)s)
ON CONFLICT ON CONSTRAINT subscription_renewals_order DO NOTHING
