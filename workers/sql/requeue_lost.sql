-- Put a generation whose worker was lost back into the queue, and record what the lost attempt probably cost us.
-- Returns: one row, unless it has come to life or has moved on.
WITH requeued AS (
    UPDATE generations
    SET status = 0, lease_until = NULL, lease_owner = NULL, lost_attempts = generations.lost_attempts + 1
    WHERE
        generations.id = %(id)s
        AND generations.account_id = %(account_id)s
        AND generations.attempt = %(attempt)s
        AND generations.status = 1
        AND generations.lease_until < clock_timestamp()
    RETURNING
        generations.id, generations.account_id, generations.request_id, generations.tier, generations.provider
),

calls AS (
    INSERT INTO generation_attempts (
        generation_id, account_id, attempt, call, model, provider, outcome, started_at, ended_at, input_tokens,
        output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, images, pixels, duration_ms, characters,
        compute_ms, cost_microdollars, status_code, provider_message, upstream_request_id
    )
    SELECT
        requeued.id, requeued.account_id, made.attempt, made.call, made.model, made.provider, made.outcome,
        made.started_at, made.ended_at, made.input_tokens, made.output_tokens, made.cache_read_tokens,
        made.cache_write_tokens, made.reasoning_tokens, made.images, made.pixels, made.duration_ms, made.characters,
        made.compute_ms, made.cost_microdollars, made.status_code, made.provider_message, made.upstream_request_id
    FROM requeued
    CROSS JOIN jsonb_to_recordset(%(calls)s::text::jsonb) AS made (
        attempt integer, call smallint, model text, provider text, outcome text, started_at timestamptz,
        ended_at timestamptz, input_tokens bigint, output_tokens bigint, cache_read_tokens bigint,
        cache_write_tokens bigint, reasoning_tokens bigint, images bigint, pixels bigint, duration_ms bigint,
        characters bigint, compute_ms bigint, cost_microdollars bigint, status_code integer, provider_message text,
        upstream_request_id text
    )
    -- Failed calls were written down when another followed them.
    ON CONFLICT DO NOTHING
)

-- Its turn had come, so it is the first now.
INSERT INTO outbox (generation_id, account_id, due_at, request_id, tier, provider, turn)
SELECT
    requeued.id, requeued.account_id, now() + %(resend_after)s::interval, requeued.request_id, requeued.tier, requeued.provider,
    coalesce((
        SELECT min(outbox.turn)
        FROM outbox
        WHERE outbox.tier = requeued.tier AND outbox.provider = requeued.provider
    ), 1) - 1
FROM requeued
RETURNING outbox.generation_id
