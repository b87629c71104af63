-- Read an attempt, with what is known of its payment, and what the gateway is told of its customer.
-- Returns: at most one row, as `Attempt` reads it.
SELECT
    auto_top_up_attempts.account_id, auto_top_up_attempts.number, auto_top_up_attempts.order_id,
    auto_top_up_attempts.made_at, auto_top_up_attempts.tries, auto_top_up_attempts.gateway,
    auto_top_up_attempts.customer_id, auto_top_up_attempts.method_id, auto_top_up_attempts.method_label,
    payment_orders.language, account_contacts.email,
    (
        SELECT max(payments.status) FROM payments
        WHERE payments.order_id = auto_top_up_attempts.order_id
    ) AS payment_status
FROM auto_top_up_attempts
INNER JOIN payment_orders ON auto_top_up_attempts.order_id = payment_orders.id
LEFT JOIN account_contacts ON auto_top_up_attempts.account_id = account_contacts.account_id
WHERE auto_top_up_attempts.account_id = %(account_id)s AND auto_top_up_attempts.number = %(number)s
