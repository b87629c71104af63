-- Read what the gateway does not list, a page at a time: payments before refunds, each in the order of time.
-- Returns: number, whether it is a refund, id, payment id, order id, account, time, amount, currency, credits and detail of the next
-- `limit` after `number`.
SELECT
    ours.number, ours.is_refund, ours.id, ours.payment_id, ours.order_id, ours.account_id, ours.at, ours.amount_minor,
    ours.currency, ours.credits, ours.detail
FROM reconciling_ours AS ours
WHERE ours.number > %(number)s
ORDER BY ours.number
LIMIT %(limit)s;
