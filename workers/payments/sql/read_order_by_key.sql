-- Find what was ordered under an idempotency key.
-- Returns: at most one row.
SELECT payment_orders.id, payment_orders.request_sha256
FROM payment_orders
WHERE
    payment_orders.account_id = %(account_id)s
    AND payment_orders.idempotency_sha256 = %(idempotency_sha256)s
