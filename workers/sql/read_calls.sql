-- Read the calls that were made for a generation, in their order.
-- Returns: one row per call.
SELECT
    generation_attempts.attempt, generation_attempts.call, generation_attempts.model, generation_attempts.provider,
    generation_attempts.outcome, generation_attempts.started_at, generation_attempts.ended_at,
    generation_attempts.cost_microdollars, generation_attempts.status_code, generation_attempts.provider_message,
    generation_attempts.upstream_request_id, generation_attempts.input_tokens, generation_attempts.output_tokens,
    generation_attempts.cache_read_tokens, generation_attempts.cache_write_tokens, generation_attempts.reasoning_tokens,
    generation_attempts.images, generation_attempts.pixels, generation_attempts.duration_ms,
    generation_attempts.characters, generation_attempts.compute_ms
FROM generation_attempts
WHERE generation_attempts.generation_id = %(generation_id)s
ORDER BY generation_attempts.attempt, generation_attempts.call
