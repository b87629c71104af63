-- See that nobody took anything of this payment back, or gave it again, since it was read; and that nobody does meanwhile.
-- Returns: one row if so.
SELECT payments.payment_id
FROM payments
WHERE
    payments.gateway = %(gateway)s
    AND payments.payment_id = %(payment_id)s
    AND payments.revision = %(revision)s
FOR UPDATE
