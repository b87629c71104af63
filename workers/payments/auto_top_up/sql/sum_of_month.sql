-- Add up what an account was charged for in a month, or may have been: all that is not known to have failed.
-- Returns: one row: the sum in minor units.
SELECT coalesce(sum(auto_top_up_attempts.amount_minor), 0)::bigint
FROM auto_top_up_attempts
INNER JOIN payment_orders ON auto_top_up_attempts.order_id = payment_orders.id
WHERE
    auto_top_up_attempts.account_id = %(account_id)s
    AND auto_top_up_attempts.month = %(month)s
    AND auto_top_up_attempts.currency = %(currency)s
    AND (auto_top_up_attempts.outcome <> 2 OR payment_orders.state = 2)
