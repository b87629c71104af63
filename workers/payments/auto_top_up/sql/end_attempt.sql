-- Note what came of an attempt; its account must be locked. What is known to be paid stays so.
-- Returns: one row if nobody had noted that: whether its order is paid for.
UPDATE auto_top_up_attempts
SET
    outcome = CASE WHEN payment_orders.state = 2 THEN 1 ELSE %(outcome)s END,
    ended_at = %(now)s
FROM payment_orders
WHERE
    auto_top_up_attempts.order_id = payment_orders.id
    AND auto_top_up_attempts.account_id = %(account_id)s
    AND auto_top_up_attempts.number = %(number)s
    AND auto_top_up_attempts.outcome = 0
RETURNING payment_orders.state = 2
