-- Write down how the call that waited for a job ended: the job is over, or it is left to be asked for later.
-- Returns: nothing. One that is over stays so.
UPDATE upstream_jobs
SET
    state = CASE WHEN %(is_over)s THEN 3 ELSE 2 END,
    outcome = %(outcome)s,
    ended_at = now(),
    ask_at = CASE WHEN %(is_over)s THEN NULL ELSE now() + %(ask_after)s::interval END
WHERE
    upstream_jobs.generation_id = %(generation_id)s
    AND upstream_jobs.account_id = %(account_id)s
    AND upstream_jobs.attempt = %(attempt)s
    AND upstream_jobs.call = %(call)s
    AND upstream_jobs.state < 3
