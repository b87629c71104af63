-- Note that nobody will pay for an order any more. It can be paid for all the same.
-- Returns: nothing.
UPDATE payment_orders
SET state = 3
WHERE payment_orders.id = %(id)s AND payment_orders.state <> 2
