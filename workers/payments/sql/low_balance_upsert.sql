-- Say below which balance somebody wants to be told. Where it is below that already there is nothing to tell; the same
-- threshold again changes nothing.
-- Returns: one row if there is such an account.
INSERT INTO low_balances (account_id, threshold, seen_version, is_below)
SELECT accounts.id, %(threshold)s::bigint, accounts.version, accounts.available < %(threshold)s::bigint
FROM accounts
WHERE accounts.id = %(account_id)s
ON CONFLICT ON CONSTRAINT low_balances_account_id DO UPDATE
SET
    is_below = CASE
        WHEN low_balances.threshold = excluded.threshold THEN low_balances.is_below
        ELSE excluded.is_below
    END,
    seen_version = CASE
        WHEN low_balances.threshold = excluded.threshold THEN low_balances.seen_version
        ELSE greatest(low_balances.seen_version, excluded.seen_version)
    END,
    threshold = excluded.threshold
RETURNING account_id
