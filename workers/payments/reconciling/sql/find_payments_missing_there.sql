-- Find the payments that we have in the window and the gateway does not list at all.
-- Returns: nothing; the number of rows is how many there are.
INSERT INTO reconciling_ours (
    is_refund, id, payment_id, order_id, account_id, at, amount_minor, currency, credits, detail
)
SELECT
    false AS is_refund, payments.payment_id AS id, payments.payment_id, payments.order_id, payments.account_id,
    payments.happened_at, payments.amount_minor, payments.currency, payments.credits,
    CASE WHEN payments.command_key IS NULL THEN 'uncredited' ELSE '' END AS detail
FROM payments
LEFT JOIN payment_mismatches AS mismatches
    ON payments.gateway = mismatches.gateway AND payments.payment_id = mismatches.payment_id
LEFT JOIN reconciling_theirs AS theirs ON NOT theirs.is_refund AND payments.payment_id = theirs.id
WHERE
    payments.gateway = %(gateway)s
    AND payments.status = 2
    -- Nobody had to pay for it, so no gateway has heard of it.
    AND payments.amount_minor > 0
    AND payments.happened_at >= %(since)s
    AND payments.happened_at < %(until)s
    AND (payments.command_key IS NOT NULL OR mismatches.resolved_at IS NULL)
    AND theirs.id IS NULL
ORDER BY payments.happened_at, payments.payment_id;
