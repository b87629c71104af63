-- Claim one queued generation out of turn: the next attempt, a lease by the database's clock, and nothing left to send.
-- Returns: one row with what the worker needs; none if it is claimed, ended or unknown.
WITH claimed AS (
    UPDATE generations
    SET
        attempt = generations.attempt + 1,
        status = 1,
        lease_until = clock_timestamp() + %(lease)s::interval,
        lease_owner = %(owner)s,
        started_at = coalesce(generations.started_at, clock_timestamp())
    WHERE generations.id = %(id)s AND generations.account_id = %(account_id)s AND generations.status = 0
    RETURNING
        generations.id, generations.account_id, generations.attempt, generations.model, generations.price_version,
        generations.max_output_tokens, generations.frozen, generations.request_id, generations.deadline_at,
        generations.cancel_requested_at, generations.provider, generations.tier, generations.created_at,
        generations.input_length
),

started AS (
    DELETE FROM outbox
    USING claimed
    WHERE outbox.generation_id = claimed.id AND outbox.account_id = claimed.account_id
)

SELECT
    claimed.id, claimed.account_id, claimed.attempt, claimed.model, claimed.price_version, claimed.max_output_tokens,
    claimed.frozen, claimed.request_id, claimed.deadline_at, claimed.cancel_requested_at, claimed.provider,
    claimed.tier, generation_requests.body, claimed.created_at, claimed.input_length
FROM claimed
INNER JOIN generation_requests
    ON claimed.id = generation_requests.generation_id AND claimed.account_id = generation_requests.account_id
