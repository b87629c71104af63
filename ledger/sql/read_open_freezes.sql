-- Read the open freezes of one account, those that expire first first.
-- Returns: one row per freeze.
SELECT
    freezes.id, freezes.account_id, freezes.amount, freezes.state, freezes.confirmed, freezes.opened_at,
    freezes.expires_at, freezes.resolved_at, freezes.reference
FROM freezes
WHERE freezes.account_id = %(account_id)s AND freezes.state = 0
ORDER BY freezes.expires_at
LIMIT %(limit)s
