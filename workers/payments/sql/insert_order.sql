-- Write down what somebody wants to buy, before any gateway hears of it; nothing happens where it is written already.
-- Returns: the id, if it was not.
-- Raises:  payment_orders_account   there is no such account
INSERT INTO payment_orders (
    id, account_id, gateway, purpose, product, product_version, region, amount_minor, currency, tax_inclusive, credits,
    expires_after, idempotency_sha256, request_sha256, language
)
VALUES (
    %(id)s, %(account_id)s, %(gateway)s, %(purpose)s, %(product)s, %(product_version)s, %(region)s, %(amount_minor)s,
    %(currency)s, %(tax_inclusive)s, %(credits)s, make_interval(days => %(expires_after_days)s::integer),
    %(idempotency_sha256)s, %(request_sha256)s, %(language)s
)
ON CONFLICT DO NOTHING
RETURNING id
