-- Read what an account has and in which lots, as one statement and so as of one moment. What is left in lots that are
-- over counts as gone, whether or not it was swept.
-- Returns: one row per lot that holds credits now, in the order they are spent, each with the heads of the account; one
--          row without a lot if there is none; no row if there is no such account.
SELECT
    accounts.available - coalesce((
        SELECT sum(due.remaining) FROM lots AS due
        WHERE due.account_id = accounts.id AND due.live AND due.expires_at <= %(now)s
    ), 0)::bigint AS available,
    accounts.frozen, accounts.version, lots.id, lots.source,
    CASE WHEN lots.expires_at <= %(now)s THEN 0 ELSE lots.remaining END AS remaining,
    lots.frozen AS lot_frozen, lots.priority, lots.expires_at
FROM accounts
LEFT JOIN lots
    ON
        accounts.id = lots.account_id AND lots.live
        AND (lots.frozen > 0 OR lots.expires_at IS NULL OR lots.expires_at > %(now)s)
WHERE accounts.id = %(account_id)s AND accounts.version > 0
ORDER BY lots.priority, lots.expires_at NULLS LAST, lots.origin IN (1, 4), lots.number
