-- Read what gateways said about an order: its payments, their refunds and disputes, and those that did not fit.
-- Returns: what it is, gateway, id, payment id, amount, currency, status, credits, time and text of each, the earliest first.
SELECT history.what, history.gateway, history.id, history.payment_id, history.amount_minor, history.currency,
    history.status, history.credits, history.at, history.said
FROM (
    SELECT
        'payment' AS what, payments.gateway, payments.payment_id AS id, payments.payment_id, payments.amount_minor,
        payments.currency, payments.status, payments.credits, payments.happened_at AS at,
        coalesce(payments.failure, '') AS said
    FROM payments
    WHERE payments.order_id = %(id)s
    UNION ALL
    SELECT
        'refund' AS what, refunds.gateway, refunds.refund_id AS id, refunds.payment_id, refunds.amount_minor,
        refunds.currency, refunds.status, NULL AS credits, refunds.happened_at AS at, '' AS said
    FROM payments
    INNER JOIN payment_refunds AS refunds
        ON payments.gateway = refunds.gateway AND payments.payment_id = refunds.payment_id
    WHERE payments.order_id = %(id)s
    UNION ALL
    SELECT
        'dispute' AS what, disputes.gateway, disputes.dispute_id AS id, disputes.payment_id, disputes.amount_minor,
        disputes.currency, disputes.status, NULL AS credits, disputes.happened_at AS at, '' AS said
    FROM payments
    INNER JOIN payment_disputes AS disputes
        ON payments.gateway = disputes.gateway AND payments.payment_id = disputes.payment_id
    WHERE payments.order_id = %(id)s
    UNION ALL
    SELECT
        'mismatch' AS what, mismatches.gateway, mismatches.payment_id AS id, mismatches.payment_id, mismatches.amount_minor,
        mismatches.currency, CASE WHEN mismatches.resolved_at IS NULL THEN 0 ELSE 1 END AS status, NULL AS credits,
        mismatches.found_at AS at, mismatches.detail AS said
    FROM payments
    INNER JOIN payment_mismatches AS mismatches
        ON payments.gateway = mismatches.gateway AND payments.payment_id = mismatches.payment_id
    WHERE payments.order_id = %(id)s
) AS history
ORDER BY history.at, history.what, history.id
