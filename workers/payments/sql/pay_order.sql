-- Note that an order is paid for.
-- Returns: nothing.
UPDATE payment_orders
SET state = 2, paid_at = now()
WHERE payment_orders.id = %(id)s
