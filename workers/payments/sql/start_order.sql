-- Note that an order is with its gateway, and where its customer goes on. Of two who say so at once the first one counts.
-- Returns: where that is.
UPDATE payment_orders
SET
    state = greatest(payment_orders.state, 1),
    gateway_id = coalesce(payment_orders.gateway_id, %(gateway_id)s),
    url = coalesce(payment_orders.url, %(url)s)
WHERE payment_orders.id = %(id)s
RETURNING payment_orders.url
