-- Write what is to be charged, and to which means of payment, before anything is.
-- Returns: nothing.
-- Raises:  auto_top_up_attempts_in_flight   there is another one that nobody knows the outcome of
INSERT INTO auto_top_up_attempts (
    account_id, number, order_id, made_at, month, amount_minor, currency, gateway, customer_id, method_id, method_label
)
VALUES (
    %(account_id)s, %(number)s, %(order_id)s, %(made_at)s, %(month)s, %(amount_minor)s, %(currency)s, %(gateway)s,
    %(customer_id)s, %(method_id)s, %(method_label)s
)
