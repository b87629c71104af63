-- Write how a generation ended, its output and its calls; the caller holds its row by a guard in this transaction.
-- The events of this settlement are in the table already: what the overage charge took is read from there.
-- Returns: one row: what it cost and what the account could not pay.
-- Raises:  generations_ended_whole and others; a trigger if it had ended before.
WITH overage AS (
    SELECT coalesce((
        SELECT events.amount
        FROM events
        WHERE
            events.account_id = %(account_id)s
            AND hashtextextended(events.command_key, 0) = hashtextextended(%(overage_key)s, 0)
            AND hashtextextended(events.command_key, 1) = hashtextextended(%(overage_key)s, 1)
            AND events.command_key = %(overage_key)s
    ), 0) AS charged
),

finished AS (
    UPDATE generations
    SET
        status = %(status)s,
        partial = %(partial)s,
        attempt = %(end_epoch)s,
        end_epoch = %(end_epoch)s,
        end_seq = %(end_seq)s,
        lease_until = NULL,
        first_token_at = coalesce(%(first_token_at)s::timestamptz, generations.first_token_at),
        finished_at = clock_timestamp(),
        cost = %(confirmed)s + overage.charged,
        shortfall = %(overage)s - overage.charged,
        input_tokens = %(input_tokens)s,
        output_tokens = %(output_tokens)s,
        cache_read_tokens = %(cache_read_tokens)s,
        cache_write_tokens = %(cache_write_tokens)s,
        reasoning_tokens = %(reasoning_tokens)s,
        images = %(images)s,
        pixels = %(pixels)s,
        duration_ms = %(duration_ms)s,
        characters = %(characters)s,
        compute_ms = %(compute_ms)s,
        served_model = %(served_model)s,
        served_provider = %(served_provider)s,
        fallback_used = %(fallback_used)s,
        cache_hit = %(cache_hit)s,
        database_us = %(database_us)s,
        cache_read_us = %(cache_read_us)s,
        -- From our asking to the ledger's having decided; the commit that makes it last is still to come.
        credit_us = greatest(
            0, (extract(EPOCH FROM clock_timestamp() - %(settling_since)s::timestamptz) * 1000000)::bigint
        ),
        provider_us = %(provider_us)s,
        cache_write_us = %(cache_write_us)s,
        usage_estimated = %(usage_estimated)s,
        finish_reason = %(finish_reason)s,
        error_code = %(error_code)s,
        error_message = %(error_message)s,
        provider_message = %(provider_message)s,
        text_length = %(text_length)s,
        text_sha256 = %(text_sha256)s
    FROM overage
    WHERE generations.id = %(id)s AND generations.account_id = %(account_id)s
    RETURNING generations.id, generations.account_id, generations.cost, generations.shortfall
),

output AS (
    INSERT INTO generation_outputs (generation_id, account_id, body, artifacts, structured)
    SELECT finished.id, finished.account_id, %(text)s::bytea, %(artifacts)s::bytea, %(structured)s::bytea
    FROM finished
),

unsent AS (
    DELETE FROM outbox
    USING finished
    WHERE outbox.generation_id = finished.id AND outbox.account_id = finished.account_id
),

calls AS (
    INSERT INTO generation_attempts (
        generation_id, account_id, attempt, call, model, provider, outcome, started_at, ended_at, input_tokens,
        output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, images, pixels, duration_ms, characters,
        compute_ms, cost_microdollars, status_code, provider_message, upstream_request_id
    )
    SELECT
        finished.id, finished.account_id, made.attempt, made.call, made.model, made.provider, made.outcome,
        made.started_at, made.ended_at, made.input_tokens, made.output_tokens, made.cache_read_tokens,
        made.cache_write_tokens, made.reasoning_tokens, made.images, made.pixels, made.duration_ms, made.characters,
        made.compute_ms, made.cost_microdollars, made.status_code, made.provider_message, made.upstream_request_id
    FROM finished
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

SELECT finished.cost, finished.shortfall
FROM finished
