-- List a payment that fits nothing we offered; once.
-- Returns: nothing.
INSERT INTO payment_mismatches (gateway, payment_id, reason, order_id, account_id, amount_minor, currency, detail)
VALUES (
    %(gateway)s, %(payment_id)s, %(reason)s, %(order_id)s, %(account_id)s, %(amount_minor)s, %(currency)s, %(detail)s
)
ON CONFLICT ON CONSTRAINT payment_mismatches_once DO NOTHING
