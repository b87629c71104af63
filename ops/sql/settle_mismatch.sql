-- Note that somebody has dealt with a payment that fits nothing we offered. What was noted first stays.
-- Returns: at most one row, what `ShownMismatch` has.
UPDATE payment_mismatches
SET
    resolved_at = coalesce(payment_mismatches.resolved_at, now()),
    resolved_by = coalesce(payment_mismatches.resolved_by, %(actor)s),
    resolution = coalesce(payment_mismatches.resolution, %(note)s)
WHERE payment_mismatches.gateway = %(gateway)s AND payment_mismatches.payment_id = %(payment_id)s
RETURNING
    payment_mismatches.gateway, payment_mismatches.payment_id, payment_mismatches.reason, payment_mismatches.order_id,
    payment_mismatches.account_id, payment_mismatches.amount_minor, payment_mismatches.currency, payment_mismatches.detail,
    payment_mismatches.found_at, payment_mismatches.resolved_at, payment_mismatches.resolved_by, payment_mismatches.resolution
