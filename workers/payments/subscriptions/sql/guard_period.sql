-- See that no payment is for this period of this plan yet, and that this payment is for none. Nothing is locked: periods
-- are written with the ledger's events, while the account is locked.
-- Returns: one row if so.
SELECT 1 AS free
WHERE NOT EXISTS (
    SELECT FROM subscription_periods
    WHERE
        subscription_periods.gateway = %(gateway)s
        AND (
            subscription_periods.payment_id = %(payment_id)s
            OR (
                subscription_periods.subscription_id = %(subscription_id)s
                AND subscription_periods.plan = %(plan)s
                AND subscription_periods.begins_at > %(begins_at)s - interval '1 hour'
                AND subscription_periods.begins_at < %(begins_at)s + interval '1 hour'
            )
        )
)
