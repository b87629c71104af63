-- Note that a listed payment found what it was for after all.
-- Returns: nothing.
UPDATE payment_mismatches
SET resolved_at = now(), resolved_by = 'holdfast', resolution = 'credited'
WHERE
    payment_mismatches.gateway = %(gateway)s
    AND payment_mismatches.payment_id = %(payment_id)s
    AND payment_mismatches.resolved_at IS NULL
