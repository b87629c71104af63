-- Claim what is next: of the first of these tiers that has something, the smallest turn whose provider has room. The next
-- attempt, a lease by the database's clock, and nothing left to send.
-- Rows that someone else holds are passed over: another worker takes them, or whoever asked for them cancels them.
-- Returns: one row with what the worker needs; none if nothing is ready.
WITH heads AS (
    SELECT outbox_classes.tier, outbox_classes.provider, head.turn, head.generation_id
    FROM outbox_classes
    CROSS JOIN LATERAL (
        SELECT outbox.turn, outbox.generation_id
        FROM outbox
        WHERE outbox.tier = outbox_classes.tier AND outbox.provider = outbox_classes.provider
        ORDER BY outbox.turn, outbox.generation_id
        LIMIT 1
    ) AS head
    WHERE
        outbox_classes.tier = ANY(%(tiers)s::smallint[])
        AND outbox_classes.provider <> ALL(%(full_providers)s::text[])
    ORDER BY outbox_classes.tier, head.turn, head.generation_id
),

-- The heads come in order and the limit stops at the first that yields a row, so no more than that row is locked.
picked AS (
    SELECT ready.generation_id, ready.account_id
    FROM heads
    CROSS JOIN LATERAL (
        SELECT outbox.generation_id, outbox.account_id
        FROM outbox
        INNER JOIN generations
            ON outbox.generation_id = generations.id AND outbox.account_id = generations.account_id
        WHERE outbox.tier = heads.tier AND outbox.provider = heads.provider AND generations.status = 0
        ORDER BY outbox.turn, outbox.generation_id
        LIMIT 1
        FOR UPDATE OF outbox, generations SKIP LOCKED
    ) AS ready
    LIMIT 1 -- noqa: AM09
),

claimed AS (
    UPDATE generations
    SET
        attempt = generations.attempt + 1,
        status = 1,
        lease_until = clock_timestamp() + %(lease)s::interval,
        lease_owner = %(owner)s,
        started_at = coalesce(generations.started_at, clock_timestamp())
    FROM picked
    WHERE generations.id = picked.generation_id AND generations.account_id = picked.account_id
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
