-- Find events that should be sealed: of those at some versions of accounts, the ones that a tick saw.
-- Returns: account and version of each.
SELECT events.account_id, events.version
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(versions)s) AS version
) AS unsealed
INNER JOIN events ON unsealed.account_id = events.account_id AND unsealed.version = events.version
WHERE pg_visible_in_snapshot(events.xid, %(snapshot)s::pg_snapshot)
ORDER BY events.account_id, events.version
