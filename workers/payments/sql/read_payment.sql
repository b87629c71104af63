-- Read a payment with what became of its money and its credits.
-- Returns: at most one row: account, price, currency, credits, revision, command key, then the money that is on its way back by
-- refunds, by disputes, whether any of it is in another currency, and the reversals that stand as JSON.
SELECT
    payments.account_id, payments.amount_minor, payments.currency, payments.credits, payments.revision, payments.command_key,
    refunds.minor::bigint AS refunded, disputes.minor::bigint AS disputed,
    coalesce(refunds.is_strange, false) OR coalesce(disputes.is_strange, false) AS is_strange,
    coalesce(reversals.standing, '[]'::jsonb)::text AS standing,
    coalesce(reversals.last_number, 0) AS last_number
FROM payments
CROSS JOIN LATERAL (
    SELECT
        least(coalesce(sum(payment_refunds.amount_minor), 0), payments.amount_minor) AS minor,
        bool_or(payment_refunds.currency <> payments.currency) AS is_strange
    FROM payment_refunds
    WHERE
        payment_refunds.gateway = payments.gateway
        AND payment_refunds.payment_id = payments.payment_id
        AND payment_refunds.status < 2
) AS refunds
CROSS JOIN LATERAL (
    SELECT
        least(coalesce(sum(payment_disputes.amount_minor), 0), payments.amount_minor) AS minor,
        bool_or(payment_disputes.currency <> payments.currency) AS is_strange
    FROM payment_disputes
    WHERE
        payment_disputes.gateway = payments.gateway
        AND payment_disputes.payment_id = payments.payment_id
        AND payment_disputes.status IN (1, 3)
) AS disputes
CROSS JOIN LATERAL (
    SELECT
        max(payment_reversals.number) AS last_number,
        jsonb_agg(jsonb_build_object(
            'number', payment_reversals.number, 'cause', payment_reversals.cause, 'credits', payment_reversals.credits,
            'command_key', payment_reversals.command_key
        )) FILTER (WHERE NOT payment_reversals.reinstated) AS standing
    FROM payment_reversals
    WHERE payment_reversals.gateway = payments.gateway AND payment_reversals.payment_id = payments.payment_id
) AS reversals
WHERE payments.gateway = %(gateway)s AND payments.payment_id = %(payment_id)s
