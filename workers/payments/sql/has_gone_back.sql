-- See whether anything of a payment went back, or is to.
-- Returns: one row.
SELECT
    EXISTS (
        SELECT 1
        FROM payment_refunds
        WHERE payment_refunds.gateway = %(gateway)s AND payment_refunds.payment_id = %(payment_id)s
    )
    OR EXISTS (
        SELECT 1
        FROM payment_disputes
        WHERE payment_disputes.gateway = %(gateway)s AND payment_disputes.payment_id = %(payment_id)s
    )
