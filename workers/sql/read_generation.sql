-- Read one generation with its output; with an account, only if it is this account's.
-- Returns: at most one row.
SELECT
    generations.id, generations.account_id, generations.model, generations.mode, generations.provider, generations.status,
    generations.partial, generations.frozen, generations.cost, generations.shortfall, generations.model_version,
    generations.price_version, generations.max_output_tokens, generations.attempt, generations.retry_of, generations.request_id,
    generations.input_tokens, generations.output_tokens, generations.cache_read_tokens, generations.cache_write_tokens,
    generations.reasoning_tokens, generations.images, generations.pixels, generations.duration_ms, generations.characters,
    generations.compute_ms, generations.usage_estimated, generations.finish_reason, generations.error_code,
    generations.error_message, generations.provider_message, generations.created_at, generations.started_at,
    generations.first_token_at, generations.finished_at, generations.cancel_requested_at,
    generations.served_model, generations.served_provider, generations.fallback_used, generations.cache_hit,
    generations.input_length, generations.database_us, generations.cache_read_us, generations.credit_us,
    generations.provider_us, generations.cache_write_us,
    generations.tier, generations.batch_id, generations.queue_position, generations.queue_wait_s,
    generation_outputs.body, generation_outputs.artifacts, generation_outputs.structured
FROM generations
LEFT JOIN generation_outputs
    ON generations.id = generation_outputs.generation_id AND generations.account_id = generation_outputs.account_id
WHERE
    generations.id = %(id)s
    AND (%(account_id)s::uuid IS NULL OR generations.account_id = %(account_id)s)
