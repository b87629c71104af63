-- Read the snapshots of a build of the balances, for accounts in a range of ids, in the order of accounts and versions.
-- Returns: one row per snapshot.
SELECT
    balance_snapshots.account_id, balance_snapshots.version, balance_snapshots.seq, balance_snapshots.due_version,
    balance_snapshots.recorded_at, balance_snapshots.state
FROM balance_snapshots
WHERE
    balance_snapshots.build = %(build)s
    AND balance_snapshots.account_id >= %(first)s AND balance_snapshots.account_id <= %(last)s
ORDER BY balance_snapshots.account_id, balance_snapshots.version
