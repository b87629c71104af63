-- Read all that we know of payments that a gateway lists, wherever in time it is.
-- Returns: a row for each id: id, order id; account, amount, currency, status, credits and command key of our row; account,
-- credits, number and body of the ledger's events; reason and end of a mismatch; amount, currency and kind of price of the order;
-- whether the order is paid for by another payment that comes first; how much of the money is on its way back or gone.
SELECT
    theirs.id, linked.order_id, payments.account_id, payments.amount_minor, payments.currency, payments.status,
    payments.credits, payments.command_key, credited.account_id AS credited_account_id, credited.amount, credited.times,
    credited.body, mismatches.reason, mismatches.resolved_at IS NOT NULL AS is_resolved,
    orders.amount_minor AS order_minor, orders.currency AS order_currency, orders.tax_inclusive,
    rivals.are_first OR listed_rivals.are_first AS is_second, returned.minor
FROM reconciling_theirs AS theirs
LEFT JOIN payments ON payments.gateway = %(gateway)s AND theirs.id = payments.payment_id
LEFT JOIN payment_mismatches AS mismatches
    ON mismatches.gateway = %(gateway)s AND theirs.id = mismatches.payment_id
CROSS JOIN LATERAL ( -- noqa: ST05
    -- What a subscription's payments name is the order that it began with.
    SELECT
        CASE WHEN payments.subscription_id IS NULL THEN coalesce(payments.order_id, theirs.order_id) END AS order_id,
        coalesce(payments.command_key, %(first_key)s || theirs.id) AS command_key
) AS linked
LEFT JOIN LATERAL (
    SELECT events.account_id, events.amount, events.body, count(*) OVER () AS times
    FROM events
    WHERE events.kind = 2 AND events.command_key = linked.command_key
    ORDER BY events.account_id = payments.account_id DESC NULLS LAST, events.position ASC
    LIMIT 1
) AS credited ON true
LEFT JOIN payment_orders AS orders ON linked.order_id = orders.id
CROSS JOIN LATERAL (
    SELECT count(*) > 0 AS are_first
    FROM payments AS others
    WHERE
        others.order_id = linked.order_id
        AND others.command_key IS NOT NULL
        AND (others.gateway <> %(gateway)s OR others.payment_id <> theirs.id)
        AND (
            payments.command_key IS NULL
            OR (others.happened_at, others.gateway, others.payment_id)
            < (payments.happened_at, payments.gateway, payments.payment_id)
        )
) AS rivals
CROSS JOIN LATERAL (
    SELECT count(*) > 0 AS are_first
    FROM reconciling_theirs AS others
    LEFT JOIN payment_mismatches AS misfits
        ON misfits.gateway = %(gateway)s AND others.id = misfits.payment_id
    WHERE
        credited.account_id IS NULL
        AND others.order_id = linked.order_id
        AND NOT others.is_refund
        AND misfits.payment_id IS NULL
        AND (others.at, others.id) < (theirs.at, theirs.id)
) AS listed_rivals
CROSS JOIN LATERAL (
    SELECT coalesce(sum(refunds.amount_minor), 0)::bigint AS minor
    FROM payment_refunds AS refunds
    WHERE
        refunds.gateway = %(gateway)s
        AND refunds.payment_id = theirs.id
        AND refunds.currency = theirs.currency
        AND refunds.status < 2
) AS returned
WHERE NOT theirs.is_refund AND theirs.id = ANY(%(ids)s::text[]);
