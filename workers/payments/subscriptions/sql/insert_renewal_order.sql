-- Write the order of a renewal, in the language of the first one, unless it is there already.
-- Returns: nothing.
INSERT INTO payment_orders (
    id, account_id, gateway, purpose, product, product_version, region, amount_minor, currency, tax_inclusive, credits,
    subscription_id, state, language
)
VALUES (
    %(id)s, %(account_id)s, %(gateway)s, 'renewal', %(product)s, %(product_version)s, %(region)s, %(amount_minor)s,
    %(currency)s, %(tax_inclusive)s, %(credits)s, %(subscription_id)s, 1,
    (
        SELECT first_order.language FROM payment_orders AS first_order
        WHERE first_order.id = %(first_order_id)s
    )
)
ON CONFLICT ON CONSTRAINT payment_orders_id DO NOTHING
