-- Write down that a provider runs a job, and how to ask for it.
-- Returns: nothing. One that is over, or was left, stays so.
UPDATE upstream_jobs
SET
    state = greatest(upstream_jobs.state, 1),
    started_at = coalesce(upstream_jobs.started_at, now()),
    upstream_id = %(upstream_id)s,
    status_url = %(status_url)s,
    result_url = %(result_url)s,
    cancel_url = %(cancel_url)s
WHERE
    upstream_jobs.generation_id = %(generation_id)s
    AND upstream_jobs.account_id = %(account_id)s
    AND upstream_jobs.attempt = %(attempt)s
    AND upstream_jobs.call = %(call)s
