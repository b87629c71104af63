-- See that nothing of this payment went back, or was told to, since it was read; and that nothing does meanwhile.
-- Returns: one row if so.
SELECT payments.payment_id
FROM payments
WHERE
    payments.gateway = %(gateway)s
    AND payments.payment_id = %(payment_id)s
    AND payments.revision = %(revision)s
FOR UPDATE
