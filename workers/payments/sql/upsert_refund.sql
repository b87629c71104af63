-- Note what a gateway says of a refund; what is known already is newer where its status is further on. Whoever works out from
-- what was known before how much is to be taken back is told so by the payment's revision.
-- Returns: nothing.
WITH noted AS (
    INSERT INTO payment_refunds (gateway, refund_id, payment_id, amount_minor, currency, happened_at, status)
    VALUES (
        %(gateway)s, %(refund_id)s, %(payment_id)s, %(amount_minor)s, %(currency)s, %(happened_at)s, %(status)s
    )
    ON CONFLICT ON CONSTRAINT payment_refunds_id DO UPDATE
    SET status = excluded.status, amount_minor = excluded.amount_minor
    WHERE payment_refunds.status < excluded.status
    RETURNING payment_refunds.gateway, payment_refunds.payment_id
)

UPDATE payments
SET revision = payments.revision + 1
FROM noted
WHERE payments.gateway = noted.gateway AND payments.payment_id = noted.payment_id
