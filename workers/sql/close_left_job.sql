-- Close a job that nobody waited for, with what finance has to know of it.
-- Returns: one row if this closed it and made an entry.
WITH closed AS (
    UPDATE upstream_jobs
    SET state = 3, outcome = %(outcome)s, ask_at = NULL
    WHERE
        upstream_jobs.generation_id = %(generation_id)s
        AND upstream_jobs.account_id = %(account_id)s
        AND upstream_jobs.attempt = %(attempt)s
        AND upstream_jobs.call = %(call)s
        AND upstream_jobs.state = 2
    RETURNING
        upstream_jobs.generation_id, upstream_jobs.account_id, upstream_jobs.attempt, upstream_jobs.call,
        upstream_jobs.model, upstream_jobs.provider
)

INSERT INTO reconciliation_entries (
    id, generation_id, account_id, attempt, call, kind, model, provider, upstream_id, cost_microdollars, detail
)
SELECT
    %(id)s, closed.generation_id, closed.account_id, closed.attempt, closed.call, %(kind)s, closed.model, closed.provider,
    %(upstream_id)s, %(cost_microdollars)s, %(detail)s
FROM closed
WHERE %(kind)s::text IS NOT NULL
ON CONFLICT ON CONSTRAINT reconciliation_entries_once DO NOTHING
RETURNING reconciliation_entries.id
