-- Read what the streams of these generations need to know: the attempt, and how they ended if they have.
-- Returns: one row per generation that exists.
SELECT
    generations.id, generations.attempt, generations.status, generations.end_epoch, generations.end_seq,
    generations.text_length, generations.text_sha256, generations.cost, generations.error_code,
    generations.error_message, generations.input_tokens, generations.output_tokens, generations.cache_read_tokens,
    generations.cache_write_tokens, generations.reasoning_tokens, generations.images, generations.pixels,
    generations.duration_ms, generations.characters, generations.compute_ms, generation_outputs.body,
    generation_outputs.artifacts, generation_outputs.structured
FROM generations
LEFT JOIN generation_outputs
    ON generations.id = generation_outputs.generation_id AND generations.account_id = generation_outputs.account_id
WHERE generations.id = ANY(%(ids)s)
