-- Note that a reversal was undone.
-- Returns: nothing.
UPDATE payment_reversals
SET reinstated = true
WHERE
    payment_reversals.gateway = %(gateway)s
    AND payment_reversals.payment_id = %(payment_id)s
    AND payment_reversals.number = %(number)s
