-- Read what the gateway lists in the window, in the order of time, a page at a time.
-- Returns: time, id, payment id, order id, amount, tax, currency, status and fact of the next `limit` after that time and id.
SELECT
    theirs.at, theirs.id, theirs.payment_id, theirs.order_id, theirs.amount_minor, theirs.tax_minor, theirs.currency,
    theirs.status, theirs.fact
FROM reconciling_theirs AS theirs
WHERE
    theirs.is_refund = %(is_refund)s
    AND theirs.at >= %(since)s
    AND theirs.at < %(until)s
    AND (theirs.at, theirs.id) > (%(after)s, %(after_id)s)
ORDER BY theirs.at, theirs.id
LIMIT %(limit)s;
