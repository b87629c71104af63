-- Read what is missing until an order is with its gateway, and where its owner gets messages.
-- Returns: one row.
SELECT
    payment_orders.url, payment_orders.language, account_contacts.email,
    payment_orders.created_at < now() - make_interval(secs => %(start_within_s)s) AS is_too_old
FROM payment_orders
LEFT JOIN account_contacts ON payment_orders.account_id = account_contacts.account_id
WHERE payment_orders.id = %(id)s
