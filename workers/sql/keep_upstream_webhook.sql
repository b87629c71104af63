-- Keep a webhook whose signature was good. Where it tells the id of a job, the id is kept too.
-- Returns: one row, unless the webhook is about another job than this.
UPDATE upstream_jobs
SET
    webhooks = upstream_jobs.webhooks + 1,
    webhook_at = now(),
    webhook_body = %(body)s,
    upstream_id = coalesce(upstream_jobs.upstream_id, %(upstream_id)s),
    -- A create that was taken for refused, and was not: the job is left, and paid for, all the same.
    state = CASE WHEN upstream_jobs.state = 3 AND upstream_jobs.upstream_id IS NULL THEN 2 ELSE upstream_jobs.state END,
    ask_at = CASE WHEN upstream_jobs.state = 3 AND upstream_jobs.upstream_id IS NOT NULL THEN NULL ELSE now() END
WHERE
    upstream_jobs.token = %(token)s
    AND upstream_jobs.provider = %(provider)s
    AND coalesce(upstream_jobs.upstream_id, %(upstream_id)s) = %(upstream_id)s
RETURNING upstream_jobs.generation_id
