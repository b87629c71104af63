-- Note what a gateway says of a dispute; what is known already is newer where its status is further on.
-- Returns: nothing.
INSERT INTO payment_disputes (gateway, dispute_id, payment_id, amount_minor, currency, happened_at, status)
VALUES (
    %(gateway)s, %(dispute_id)s, %(payment_id)s, %(amount_minor)s, %(currency)s, %(happened_at)s, %(status)s
)
ON CONFLICT ON CONSTRAINT payment_disputes_id DO UPDATE
SET status = excluded.status, amount_minor = excluded.amount_minor
WHERE payment_disputes.status < excluded.status
