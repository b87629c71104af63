-- Note that something of a payment is taken back or given again.
-- Returns: nothing.
UPDATE payments
SET revision = payments.revision + 1
WHERE payments.gateway = %(gateway)s AND payments.payment_id = %(payment_id)s
