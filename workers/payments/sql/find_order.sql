-- Read an order. One that did not get to its gateway in time is given up.
-- Returns: at most one row, as `Order` reads it.
SELECT
    payment_orders.id, payment_orders.account_id, payment_orders.gateway, payment_orders.purpose, payment_orders.product,
    payment_orders.product_version, payment_orders.region, payment_orders.amount_minor, payment_orders.currency,
    payment_orders.tax_inclusive, payment_orders.credits,
    (extract(EPOCH FROM payment_orders.expires_after) * 1000000)::bigint AS expires_after_us,
    CASE
        WHEN
            payment_orders.state = 0
            AND payment_orders.created_at < now() - make_interval(secs => %(start_within_s)s) THEN 3
        ELSE payment_orders.state
    END AS state,
    payment_orders.subscription_id, payment_orders.created_at, payment_orders.paid_at, payment_orders.url
FROM payment_orders
WHERE payment_orders.id = %(id)s
