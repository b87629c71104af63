-- Read the last webhook of a job, if one came that was not read yet.
-- Returns: how many came, and the body of the last; no row if there is nothing new.
SELECT upstream_jobs.webhooks, upstream_jobs.webhook_body
FROM upstream_jobs
WHERE
    upstream_jobs.generation_id = %(generation_id)s
    AND upstream_jobs.account_id = %(account_id)s
    AND upstream_jobs.attempt = %(attempt)s
    AND upstream_jobs.call = %(call)s
    AND upstream_jobs.webhooks > %(seen)s
