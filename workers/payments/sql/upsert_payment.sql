-- Note what a gateway says of a payment that is not credited, or is by the same transaction. What is known already is newer where
-- its status is further on.
-- Returns: nothing.
INSERT INTO payments (
    gateway, payment_id, account_id, order_id, amount_minor, currency, credits, happened_at, status, subscription_id, failure,
    command_key
)
VALUES (
    %(gateway)s, %(payment_id)s, %(account_id)s, %(order_id)s, %(amount_minor)s, %(currency)s, %(credits)s, %(happened_at)s,
    %(status)s, %(subscription_id)s, %(failure)s, %(command_key)s
)
ON CONFLICT ON CONSTRAINT payments_id DO UPDATE
SET
    account_id = coalesce(excluded.account_id, payments.account_id),
    order_id = coalesce(excluded.order_id, payments.order_id),
    amount_minor = excluded.amount_minor,
    currency = excluded.currency,
    credits = greatest(payments.credits, excluded.credits),
    happened_at = excluded.happened_at,
    status = excluded.status,
    subscription_id = coalesce(excluded.subscription_id, payments.subscription_id),
    failure = excluded.failure,
    command_key = coalesce(payments.command_key, excluded.command_key)
WHERE payments.command_key IS NULL AND payments.status <= excluded.status
