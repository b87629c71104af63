-- Read an order.
-- Returns: at most one row, as `Order` reads it.
SELECT
    payment_orders.id, payment_orders.account_id, payment_orders.gateway, payment_orders.purpose, payment_orders.product,
    payment_orders.product_version, payment_orders.region, payment_orders.amount_minor, payment_orders.currency,
    payment_orders.tax_inclusive, payment_orders.credits,
    (extract(EPOCH FROM payment_orders.expires_after) * 1000000)::bigint AS expires_after_us, payment_orders.state,
    payment_orders.subscription_id
FROM payment_orders
WHERE payment_orders.id = %(id)s
