-- Write the order of a renewal, unless it is there already.
-- Returns: nothing.
INSERT INTO payment_orders (
    id, account_id, gateway, purpose, product, product_version, region, amount_minor, currency, tax_inclusive, credits,
    subscription_id, state
)
VALUES (
    %(id)s, %(account_id)s, %(gateway)s, 'renewal', %(product)s, %(product_version)s, %(region)s, %(amount_minor)s,
    %(currency)s, %(tax_inclusive)s, %(credits)s, %(subscription_id)s, 1
)
ON CONFLICT ON CONSTRAINT payment_orders_id DO NOTHING
