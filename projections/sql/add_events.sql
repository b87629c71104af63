-- Add a batch of events, read once: the accounts that it opened, what accounts did by day, and the credits that
-- generations used, which are what was confirmed of their freezes, and charged above them.
-- Returns: one row: a kind that this code does not know, or null; how many charges name a generation that is not there;
--          and the generations that ended within the batch, with a settling event of their own or given a place in it:
--          their ids, their accounts, and the days in UTC, as days since 1970-01-01.
-- Raises:  an event's body or key is not what it must be
WITH batch AS MATERIALIZED (
    SELECT
        sealed.seq, events.account_id, events.kind, events.amount, events.recorded_at,
        (events.recorded_at AT TIME ZONE 'UTC')::date AS day,
        CASE
            WHEN starts_with(events.command_key, 'holdfast:settle:')
                THEN substr(events.command_key, length('holdfast:settle:') + 1)
        END AS settles,
        CASE WHEN events.kind IN (%(confirmed)s, %(charged)s) THEN events.body END AS body
    FROM sealed
    INNER JOIN events ON sealed.position = events.position
    WHERE
        sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
        AND events.position >= %(first_position)s AND events.position <= %(last_position)s
),

-- An account's opening is its first event, so it is in this batch or an earlier one.
accounts_added AS (
    INSERT INTO analytics_accounts AS kept (build, account_id, opened_at, opened_on, first_bought_at)
    SELECT
        %(build)s, told.account_id,
        coalesce(told.opened_at, told.first_bought_at),
        (coalesce(told.opened_at, told.first_bought_at) AT TIME ZONE 'UTC')::date,
        told.first_bought_at
    FROM (
        SELECT
            batch.account_id,
            min(batch.recorded_at) FILTER (WHERE batch.kind = %(opened)s) AS opened_at,
            min(batch.recorded_at) FILTER (WHERE batch.kind = %(bought)s) AS first_bought_at
        FROM batch
        WHERE batch.kind IN (%(opened)s, %(bought)s)
        GROUP BY batch.account_id
    ) AS told
    ON CONFLICT (build, account_id) DO UPDATE
    SET first_bought_at = least(kept.first_bought_at, excluded.first_bought_at)
),

days_added AS (
    INSERT INTO analytics_account_days AS kept (
        build, day, account_id, freezes, charges, purchases, bought, granted, spent
    )
    SELECT
        %(build)s, batch.day, batch.account_id,
        count(*) FILTER (WHERE batch.kind = %(frozen)s),
        count(*) FILTER (WHERE batch.kind = %(charged)s),
        count(*) FILTER (WHERE batch.kind = %(bought)s),
        coalesce(sum(batch.amount) FILTER (WHERE batch.kind = %(bought)s), 0),
        coalesce(sum(batch.amount) FILTER (WHERE batch.kind = %(granted)s), 0),
        coalesce(sum(batch.amount) FILTER (WHERE batch.kind IN (%(confirmed)s, %(charged)s)), 0)
    FROM batch
    WHERE batch.kind IN (%(frozen)s, %(confirmed)s, %(charged)s, %(bought)s, %(granted)s)
    GROUP BY batch.day, batch.account_id
    ON CONFLICT (build, day, account_id) DO UPDATE
    SET
        freezes = kept.freezes + excluded.freezes,
        charges = kept.charges + excluded.charges,
        purchases = kept.purchases + excluded.purchases,
        bought = kept.bought + excluded.bought,
        granted = kept.granted + excluded.granted,
        spent = kept.spent + excluded.spent
),

spending AS MATERIALIZED (
    SELECT
        batch.day, batch.account_id, batch.amount, batch.body,
        batch.kind = %(charged)s AS is_charge,
        CASE
            WHEN batch.kind = %(charged)s THEN left(batch.settles, 36)::uuid
            ELSE (convert_from(batch.body, 'UTF8')::json ->> 'freeze_id')::uuid
        END AS generation_id,
        batch.settles IS NOT NULL AS is_settlement
    FROM batch
    WHERE batch.kind = %(confirmed)s OR (batch.kind = %(charged)s AND batch.settles IS NOT NULL)
),

-- A freeze of a generation that somebody else confirmed leaves the generation to end as failed (4), so its credits are
-- there.
placed AS MATERIALIZED (
    SELECT
        spending.day, spending.account_id, spending.amount,
        convert_from(spending.body, 'UTF8')::json -> 'draws' AS draws,
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
),

ended AS MATERIALIZED (
    SELECT
        batch.settles::uuid AS generation_id, batch.account_id,
        batch.day - date '1970-01-01' AS day
    FROM batch
    WHERE batch.kind = ANY(%(resolving)s) AND batch.settles IS NOT NULL
    UNION ALL
    SELECT
        unbilled_endings.generation_id, unbilled_endings.account_id,
        unbilled_endings.ended_on - date '1970-01-01' AS day
    FROM unbilled_endings
    WHERE unbilled_endings.seq > %(after_seq)s AND unbilled_endings.seq <= %(upto_seq)s
)

SELECT
    (
        SELECT batch.kind FROM batch
        WHERE batch.kind <> ALL(%(kinds)s::smallint[])
        ORDER BY batch.seq
        LIMIT 1
    ) AS unknown_kind,
    (
        SELECT count(*) FROM spending
        WHERE
            spending.is_charge
            AND NOT EXISTS (
                SELECT FROM generations
                WHERE generations.id = spending.generation_id AND generations.account_id = spending.account_id
            )
    ) AS charges_of_nothing,
    ARRAY(
        SELECT ended.generation_id FROM ended
        ORDER BY ended.generation_id
    ) AS ended_ids,
    ARRAY(
        SELECT ended.account_id FROM ended
        ORDER BY ended.generation_id
    ) AS ended_accounts,
    ARRAY(
        SELECT ended.day FROM ended
        ORDER BY ended.generation_id
    ) AS ended_days
