-- Take jobs that no call waits for any more and that are due to be asked for, and put each off.
-- Returns: what is needed to ask for them, and since when they are followed.
WITH due AS (
    SELECT upstream_jobs.generation_id, upstream_jobs.account_id, upstream_jobs.attempt, upstream_jobs.call
    FROM upstream_jobs
    WHERE
        upstream_jobs.state < 3
        AND coalesce(upstream_jobs.ask_at, '-infinity') <= now()
        AND (
            upstream_jobs.state = 2
            -- Its worker was lost, and so was whoever would have gone on with it.
            OR EXISTS (
                SELECT FROM generations
                WHERE
                    generations.id = upstream_jobs.generation_id
                    AND generations.account_id = upstream_jobs.account_id
                    AND generations.status >= 2
                    AND generations.finished_at < now() - %(grace)s::interval
            )
        )
    ORDER BY upstream_jobs.created_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)

UPDATE upstream_jobs
SET
    state = 2,
    asks = upstream_jobs.asks + 1,
    ended_at = coalesce(upstream_jobs.ended_at, now()),
    ask_at = now()
    + least(%(ask_after)s::interval * power(2, least(upstream_jobs.asks, 20)), %(longest)s::interval)
FROM due
WHERE
    upstream_jobs.generation_id = due.generation_id
    AND upstream_jobs.account_id = due.account_id
    AND upstream_jobs.attempt = due.attempt
    AND upstream_jobs.call = due.call
RETURNING
    upstream_jobs.generation_id, upstream_jobs.account_id, upstream_jobs.attempt, upstream_jobs.call,
    upstream_jobs.model, upstream_jobs.price_version, upstream_jobs.provider, upstream_jobs.upstream_model,
    upstream_jobs.token, upstream_jobs.upstream_id, upstream_jobs.status_url, upstream_jobs.result_url,
    upstream_jobs.cancel_url, upstream_jobs.asked, upstream_jobs.ended_at
