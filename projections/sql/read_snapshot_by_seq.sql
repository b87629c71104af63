-- Read the last snapshot of an account at or before a place in the sealed order.
-- Returns: one row, or none.
SELECT balance_snapshots.state
FROM balance_snapshots
WHERE
    balance_snapshots.build = (
        SELECT projections.active FROM projections
        WHERE projections.name = 'balances'
    )
    AND balance_snapshots.account_id = %(account_id)s
    AND balance_snapshots.seq <= %(seq)s
ORDER BY balance_snapshots.seq DESC
LIMIT 1
