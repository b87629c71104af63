-- Read what somebody wanted to buy.
-- Returns: at most one row, what `ShownOrder` is made of.
SELECT
    payment_orders.id, payment_orders.account_id, payment_orders.state, payment_orders.gateway, payment_orders.gateway_id,
    payment_orders.purpose, payment_orders.product, payment_orders.product_version, payment_orders.region,
    payment_orders.amount_minor, payment_orders.currency, payment_orders.tax_inclusive, payment_orders.credits,
    payment_orders.subscription_id, payment_orders.created_at, payment_orders.paid_at
FROM payment_orders
WHERE payment_orders.id = %(id)s
