-- List payments that fit nothing we offered, those that were found first first.
-- Returns: what `ShownMismatch` has, of at most `limit`.
SELECT
    payment_mismatches.gateway, payment_mismatches.payment_id, payment_mismatches.reason, payment_mismatches.order_id,
    payment_mismatches.account_id, payment_mismatches.amount_minor, payment_mismatches.currency, payment_mismatches.detail,
    payment_mismatches.found_at, payment_mismatches.resolved_at, payment_mismatches.resolved_by, payment_mismatches.resolution
FROM payment_mismatches
WHERE %(with_resolved)s OR payment_mismatches.resolved_at IS NULL
ORDER BY payment_mismatches.found_at, payment_mismatches.gateway, payment_mismatches.payment_id
LIMIT %(limit)s
