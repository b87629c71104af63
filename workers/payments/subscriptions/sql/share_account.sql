-- Wait until nobody writes to the ledger for the account of a subscription, and keep others from beginning to: they lock the
-- account before what is written beside it, so whoever locks a subscription has to do so in that order.
-- Returns: the account, if the subscription is known.
SELECT accounts.id
FROM subscriptions
INNER JOIN accounts ON subscriptions.account_id = accounts.id
WHERE
    subscriptions.gateway = %(gateway)s
    AND (subscriptions.subscription_id = %(subscription_id)s OR subscriptions.order_id = %(order_id)s)
FOR KEY SHARE OF accounts
