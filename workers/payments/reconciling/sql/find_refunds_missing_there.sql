-- Find the refunds that we have in the window and the gateway does not list at all. One that failed never was.
-- Returns: nothing; the number of rows is how many there are.
INSERT INTO reconciling_ours (is_refund, id, payment_id, order_id, account_id, at, amount_minor, currency, detail)
SELECT
    true AS is_refund, refunds.refund_id, refunds.payment_id, payments.order_id, payments.account_id,
    refunds.happened_at, refunds.amount_minor, refunds.currency, '' AS detail
FROM payment_refunds AS refunds
LEFT JOIN payments ON refunds.gateway = payments.gateway AND refunds.payment_id = payments.payment_id
LEFT JOIN reconciling_theirs AS theirs ON theirs.is_refund AND refunds.refund_id = theirs.id
WHERE
    refunds.gateway = %(gateway)s
    AND refunds.status < 2
    AND refunds.happened_at >= %(since)s
    AND refunds.happened_at < %(until)s
    AND theirs.id IS NULL
ORDER BY refunds.happened_at, refunds.refund_id;
