-- Take over the job that an earlier attempt left running, or write down that one is about to be started.
-- Returns: the attempt and call it is kept under, its token, its id and URLs (null and empty where it is not known to run),
--          the webhooks that came, and whether it is an earlier one.
WITH earlier AS (
    SELECT upstream_jobs.attempt, upstream_jobs.call
    FROM upstream_jobs
    WHERE
        upstream_jobs.generation_id = %(generation_id)s
        AND upstream_jobs.account_id = %(account_id)s
        AND upstream_jobs.attempt < %(attempt)s
        AND upstream_jobs.provider = %(provider)s
        AND upstream_jobs.upstream_model = %(upstream_model)s
        -- One that completed was not settled, or there would be no further attempt; its result is still there.
        AND (upstream_jobs.state < 3 OR upstream_jobs.outcome = 'completed')
    ORDER BY upstream_jobs.attempt DESC, upstream_jobs.call DESC
    LIMIT 1
),

taken_over AS (
    UPDATE upstream_jobs
    SET
        state = CASE WHEN upstream_jobs.upstream_id IS NULL THEN 0 ELSE 1 END,
        outcome = NULL,
        ended_at = NULL
    FROM earlier
    WHERE
        upstream_jobs.generation_id = %(generation_id)s
        AND upstream_jobs.account_id = %(account_id)s
        AND upstream_jobs.attempt = earlier.attempt
        AND upstream_jobs.call = earlier.call
    RETURNING
        upstream_jobs.attempt, upstream_jobs.call, upstream_jobs.token, upstream_jobs.upstream_id,
        upstream_jobs.status_url, upstream_jobs.result_url, upstream_jobs.cancel_url, upstream_jobs.webhooks
),

opened AS (
    INSERT INTO upstream_jobs (
        generation_id, account_id, attempt, call, model, price_version, provider, upstream_model, token, asked
    )
    SELECT
        %(generation_id)s, %(account_id)s, %(attempt)s, %(call)s, %(model)s, %(price_version)s, %(provider)s,
        %(upstream_model)s, %(token)s, %(asked)s::text::jsonb
    WHERE NOT EXISTS (SELECT FROM earlier)
    RETURNING
        upstream_jobs.attempt, upstream_jobs.call, upstream_jobs.token, upstream_jobs.upstream_id,
        upstream_jobs.status_url, upstream_jobs.result_url, upstream_jobs.cancel_url, upstream_jobs.webhooks
)

SELECT
    taken_over.attempt, taken_over.call, taken_over.token, taken_over.upstream_id, taken_over.status_url,
    taken_over.result_url, taken_over.cancel_url, taken_over.webhooks, true
FROM taken_over
UNION ALL
SELECT
    opened.attempt, opened.call, opened.token, opened.upstream_id, opened.status_url,
    opened.result_url, opened.cancel_url, opened.webhooks, false
FROM opened
