-- Read the heads of several accounts, for whoever watches their balances.
-- Returns: one row per account that exists.
SELECT
    accounts.id,
    accounts.available - coalesce((
        SELECT sum(lots.remaining) FROM lots
        WHERE lots.account_id = accounts.id AND lots.live AND lots.expires_at <= now()
    ), 0)::bigint AS available,
    accounts.frozen, accounts.version
FROM accounts
WHERE accounts.id = ANY(%(account_ids)s) AND accounts.version > 0
