-- Read one account as it is. What is left in lots that are over counts as gone, whether or not it was swept.
-- Returns: one row, or none if there is no such account.
SELECT
    accounts.id, accounts.owner, accounts.name, accounts.version,
    accounts.available - coalesce((
        SELECT sum(lots.remaining) FROM lots
        WHERE lots.account_id = accounts.id AND lots.live AND lots.expires_at <= %(now)s
    ), 0)::bigint AS available,
    accounts.frozen, accounts.created_at
FROM accounts
WHERE accounts.id = %(account_id)s AND accounts.version > 0
