-- Write a generation, what was asked for, and the outbox row that starts it.
-- Returns: nothing.
-- Raises:  generations_idempotency   this idempotency key led to a generation before
--          generations_account       there is no such account
WITH admitted AS (
    INSERT INTO generations (
        id, account_id, retry_of, created_at, deadline_at, frozen, model_version, price_version, max_output_tokens,
        input_length, model, mode, provider, request_id, idempotency_sha256, request_sha256, tier, queue_position,
        queue_wait_s, batch_id
    )
    VALUES (
        %(id)s, %(account_id)s, %(retry_of)s, %(created_at)s, %(deadline_at)s, %(frozen)s, %(model_version)s,
        %(price_version)s, %(max_output_tokens)s, %(input_length)s, %(model)s, %(mode)s, %(provider)s, %(request_id)s,
        %(idempotency_sha256)s, %(request_sha256)s, %(tier)s, %(queue_position)s, %(queue_wait_s)s, %(batch_id)s
    )
    RETURNING
        generations.id, generations.account_id, generations.request_id, generations.tier, generations.provider,
        generations.batch_id
),

request AS (
    INSERT INTO generation_requests (generation_id, account_id, body)
    SELECT admitted.id, admitted.account_id, %(body)s
    FROM admitted
),

item AS (
    INSERT INTO generation_batch_items (batch_id, account_id, ordinal, generation_id)
    SELECT admitted.batch_id, admitted.account_id, %(batch_ordinal)s, admitted.id
    FROM admitted
    WHERE admitted.batch_id IS NOT NULL
)

INSERT INTO outbox (generation_id, account_id, due_at, request_id, tier, provider, turn)
SELECT
    admitted.id, admitted.account_id, now() + %(resend_after)s::interval, admitted.request_id, admitted.tier,
    admitted.provider, next_turn(admitted.account_id, admitted.tier, admitted.provider)
FROM admitted
