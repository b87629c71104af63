-- Read all that we know of refunds that a gateway lists, wherever in time it is.
-- Returns: a row for each id: id, order id, account; payment id, amount, currency and status of our row; amount, currency, credits
-- and command key of the payment's; the money of all its refunds, whether one of them is in another currency, and the credits
-- that the ledger took back for them.
SELECT
    theirs.id, payments.order_id, payments.account_id, refunds.payment_id, refunds.amount_minor, refunds.currency,
    refunds.status, payments.amount_minor AS paid_minor, payments.currency AS paid_currency, payments.credits,
    payments.command_key, siblings.minor, siblings.are_strange, taken.back
FROM reconciling_theirs AS theirs
LEFT JOIN payment_refunds AS refunds ON refunds.gateway = %(gateway)s AND theirs.id = refunds.refund_id
LEFT JOIN payments ON payments.gateway = %(gateway)s AND theirs.payment_id = payments.payment_id
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(each.amount_minor), 0)::bigint AS minor,
        coalesce(bool_or(each.currency <> payments.currency), false) AS are_strange
    FROM payment_refunds AS each
    WHERE each.gateway = %(gateway)s AND each.payment_id = theirs.payment_id AND each.status < 2
) AS siblings
CROSS JOIN LATERAL (
    SELECT coalesce(sum(reversals.amount), 0)::bigint AS back
    FROM payment_reversals AS noted
    INNER JOIN events
        ON
            payments.account_id = events.account_id
            AND hashtextextended(noted.command_key, 0) = hashtextextended(events.command_key, 0)
            AND hashtextextended(noted.command_key, 1) = hashtextextended(events.command_key, 1)
            AND noted.command_key = events.command_key
    INNER JOIN reversals ON events.account_id = reversals.account_id AND events.version = reversals.version
    WHERE
        noted.gateway = %(gateway)s
        AND noted.payment_id = theirs.payment_id
        AND noted.cause = 'refund'
        AND NOT reversals.reinstated
) AS taken
WHERE theirs.is_refund AND theirs.id = ANY(%(ids)s::text[]);
