-- Note a reversal of a payment's top-up.
-- Returns: nothing.
INSERT INTO payment_reversals (gateway, payment_id, number, cause, credits, command_key)
VALUES (%(gateway)s, %(payment_id)s, %(number)s, %(cause)s, %(credits)s, %(command_key)s)
