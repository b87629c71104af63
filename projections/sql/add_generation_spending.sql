-- Add the credits that generations of a batch used: what was confirmed of their freezes, and charged above them.
-- A freeze of a generation that somebody else confirmed leaves the generation to end as failed (4), so its credits are there.
-- Returns: one row: how many charges name a generation that is not there.
-- Raises:  an event's body is not what it must be
WITH spent AS MATERIALIZED (
    SELECT
        (events.recorded_at AT TIME ZONE 'UTC')::date AS day,
        events.account_id, events.amount, events.kind, events.command_key,
        convert_from(events.body, 'UTF8')::json AS body
    FROM sealed
    INNER JOIN events ON sealed.position = events.position
    WHERE
        sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
        AND events.position >= %(first_position)s AND events.position <= %(last_position)s
        AND (
            events.kind = %(confirmed)s
            OR (events.kind = %(charged)s AND starts_with(events.command_key, 'holdfast:settle:'))
        )
),

spending AS MATERIALIZED (
    SELECT
        spent.day, spent.account_id, spent.amount, spent.body,
        spent.kind = %(charged)s AS is_charge,
        CASE
            WHEN spent.kind = %(charged)s
                THEN substr(spent.command_key, length('holdfast:settle:') + 1, 36)::uuid
            ELSE (spent.body ->> 'freeze_id')::uuid
        END AS generation_id,
        starts_with(spent.command_key, 'holdfast:settle:') AS is_settlement
    FROM spent
),

placed AS MATERIALIZED (
    SELECT
        spending.day, spending.account_id, spending.amount, spending.body -> 'draws' AS draws,
        generations.model, generations.mode AS operation,
        -- What was taken by hand may be read before the generation ended and again after: always the same must come of it.
        CASE
            WHEN spending.is_settlement THEN coalesce(generations.served_provider, generations.provider)
            ELSE generations.provider
        END AS provider,
        CASE WHEN spending.is_settlement THEN generations.status ELSE 4 END AS outcome
    FROM spending
    INNER JOIN generations
        ON spending.generation_id = generations.id AND spending.account_id = generations.account_id
),

credits_added AS (
    INSERT INTO analytics_generations AS kept (
        build, day, account_id, model, provider, operation, outcome, generations, partial_outputs, estimated_usages,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, credits, shortfall, calls,
        calls_of_unknown_cost, cost_microdollars
    )
    SELECT
        %(build)s, placed.day, placed.account_id, placed.model, placed.provider, placed.operation, placed.outcome,
        0, 0, 0, 0, 0, 0, 0, 0, sum(placed.amount), 0, 0, 0, 0
    FROM placed
    GROUP BY placed.day, placed.account_id, placed.model, placed.provider, placed.operation, placed.outcome
    ON CONFLICT (build, day, account_id, model, provider, operation, outcome) DO UPDATE
    SET credits = kept.credits + excluded.credits
),

drawn AS (
    SELECT
        placed.day, placed.account_id, placed.model, placed.provider, placed.operation, placed.outcome,
        (draw.pair ->> 1)::bigint AS amount, lots.amount AS of_lot,
        lots.paid_amount ~ '^[0-9]{1,15}(\.[0-9]{1,6})?$' AND lots.paid_amount ~ '[1-9]' AS is_paid,
        lots.paid_amount, lots.paid_currency
    FROM placed
    CROSS JOIN LATERAL json_array_elements(placed.draws) AS draw (pair)
    LEFT JOIN lots ON placed.account_id = lots.account_id AND (draw.pair ->> 0)::bigint = lots.number
),

valued AS (
    SELECT
        drawn.day, drawn.account_id, drawn.model, drawn.provider, drawn.operation, drawn.outcome, drawn.amount,
        CASE WHEN drawn.is_paid THEN drawn.paid_currency ELSE '' END AS currency,
        CASE WHEN drawn.is_paid THEN round(drawn.amount * drawn.paid_amount::numeric / drawn.of_lot, 12) ELSE 0 END
            AS revenue
    FROM drawn
),

revenue_added AS (
    INSERT INTO analytics_revenue AS kept (
        build, day, account_id, model, provider, operation, outcome, currency, credits, revenue
    )
    SELECT
        %(build)s, valued.day, valued.account_id, valued.model, valued.provider, valued.operation, valued.outcome,
        valued.currency, sum(valued.amount), sum(valued.revenue)
    FROM valued
    GROUP BY
        valued.day, valued.account_id, valued.model, valued.provider, valued.operation, valued.outcome, valued.currency
    ON CONFLICT (build, day, account_id, model, provider, operation, outcome, currency) DO UPDATE
    SET credits = kept.credits + excluded.credits, revenue = kept.revenue + excluded.revenue
)

SELECT count(*)
FROM spending
WHERE
    spending.is_charge
    AND NOT EXISTS (
        SELECT FROM generations
        WHERE generations.id = spending.generation_id AND generations.account_id = spending.account_id
    )
