-- Look for the job whose webhook URL has this token.
-- Returns: one row if there is one.
SELECT upstream_jobs.upstream_id
FROM upstream_jobs
WHERE upstream_jobs.token = %(token)s AND upstream_jobs.provider = %(provider)s
