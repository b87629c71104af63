-- Read what a gateway is told of the customer of an order.
-- Returns: at most one row: language and e-mail address, null where we have none.
SELECT
    payment_orders.language, account_contacts.email
FROM payment_orders
LEFT JOIN account_contacts ON payment_orders.account_id = account_contacts.account_id
WHERE payment_orders.id = %(id)s
