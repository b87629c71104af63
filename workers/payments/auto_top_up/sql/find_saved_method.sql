-- Read what a gateway keeps for the owner of an account.
-- Returns: at most one row.
SELECT saved_methods.customer_id, saved_methods.method_id, saved_methods.label
FROM saved_methods
WHERE saved_methods.account_id = %(account_id)s AND saved_methods.gateway = %(gateway)s
