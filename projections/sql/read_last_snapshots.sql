-- Read the last snapshot of each of these accounts in one build.
-- Returns: one row per account that has one.
WITH wanted AS (
    SELECT unnest(%(account_ids)s::uuid[]) AS account_id
)

SELECT wanted.account_id, last.due_version, last.state
FROM wanted
CROSS JOIN LATERAL (
    SELECT balance_snapshots.due_version, balance_snapshots.state
    FROM balance_snapshots
    WHERE balance_snapshots.build = %(build)s AND balance_snapshots.account_id = wanted.account_id
    ORDER BY balance_snapshots.version DESC
    LIMIT 1
) AS last
