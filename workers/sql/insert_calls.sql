-- Write down calls of an attempt that goes on, so that they are known whatever becomes of its worker.
-- Returns: nothing.
INSERT INTO generation_attempts (
    generation_id, account_id, attempt, call, model, provider, outcome, started_at, ended_at, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, images, pixels, duration_ms, characters,
    compute_ms, cost_microdollars, status_code, provider_message, upstream_request_id
)
SELECT
    %(generation_id)s, %(account_id)s, made.attempt, made.call, made.model, made.provider, made.outcome,
    made.started_at, made.ended_at, made.input_tokens, made.output_tokens, made.cache_read_tokens,
    made.cache_write_tokens, made.reasoning_tokens, made.images, made.pixels, made.duration_ms, made.characters,
    made.compute_ms, made.cost_microdollars, made.status_code, made.provider_message, made.upstream_request_id
FROM jsonb_to_recordset(%(calls)s::text::jsonb) AS made (
    attempt integer, call smallint, model text, provider text, outcome text, started_at timestamptz,
    ended_at timestamptz, input_tokens bigint, output_tokens bigint, cache_read_tokens bigint,
    cache_write_tokens bigint, reasoning_tokens bigint, images bigint, pixels bigint, duration_ms bigint,
    characters bigint, compute_ms bigint, cost_microdollars bigint, status_code integer, provider_message text,
    upstream_request_id text
)
ON CONFLICT DO NOTHING
