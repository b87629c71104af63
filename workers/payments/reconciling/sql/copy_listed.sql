-- Take in a batch of what a gateway lists.
-- Returns: nothing.
COPY reconciling_listed (
    ordinal, is_refund, id, payment_id, order_id, amount_minor, tax_minor, at, status, currency, fact
) FROM STDIN;
