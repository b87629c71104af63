-- List what finance has to know of jobs that nobody waited for, newest first; of one account, or of all.
-- Returns: up to `limit` rows.
SELECT
    reconciliation_entries.id, reconciliation_entries.found_at, reconciliation_entries.kind,
    reconciliation_entries.account_id, reconciliation_entries.generation_id, reconciliation_entries.attempt,
    reconciliation_entries.call, reconciliation_entries.model, reconciliation_entries.provider,
    reconciliation_entries.upstream_id, reconciliation_entries.cost_microdollars, reconciliation_entries.detail
FROM reconciliation_entries
WHERE
    (%(before)s::uuid IS NULL OR reconciliation_entries.id < %(before)s)
    AND (%(account_id)s::uuid IS NULL OR reconciliation_entries.account_id = %(account_id)s)
ORDER BY reconciliation_entries.id DESC
LIMIT %(limit)s
