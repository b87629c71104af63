-- Keep a batch of what a gateway lists. It may list the same thing twice while others are added: the later one counts.
-- Returns: nothing.
INSERT INTO reconciling_theirs (
    is_refund, id, payment_id, order_id, amount_minor, tax_minor, at, status, currency, fact
)
SELECT DISTINCT ON (listed.is_refund, listed.id)
    listed.is_refund, listed.id, listed.payment_id, listed.order_id, listed.amount_minor, listed.tax_minor, listed.at,
    listed.status, listed.currency, listed.fact
FROM reconciling_listed AS listed
ORDER BY listed.is_refund ASC, listed.id ASC, listed.ordinal DESC
ON CONFLICT (is_refund, id) DO UPDATE
SET
    payment_id = excluded.payment_id,
    order_id = excluded.order_id,
    amount_minor = excluded.amount_minor,
    tax_minor = excluded.tax_minor,
    at = excluded.at,
    status = excluded.status,
    currency = excluded.currency,
    fact = excluded.fact;
