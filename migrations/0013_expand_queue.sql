-- The queue: who is next by tier, fair shares and room at the provider; tiers of accounts; batches of generations.
--
-- Locks: `outbox` for as long as it takes to index what waits in it now, seconds at most; `generations` only to add
--        columns that rewrite nothing.
-- Undo:  drop the view, the function, the tables and the columns; what waits is then served in the order of its ids.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Tiers: 0 paid, 1 free. `batch_id` leads to `generation_batches`; the place in the queue is the one at admission, kept
-- so that a repeated request gets the same answer.
ALTER TABLE generations
ADD COLUMN batch_id uuid,
ADD COLUMN queue_wait_s integer,
ADD COLUMN queue_position smallint,
ADD COLUMN tier smallint NOT NULL DEFAULT 0;

-- Turns are start-time fair queueing: within a tier and provider the smallest is served first, and an account's own
-- follow each other with a distance of one, so accounts alternate whatever their backlog.
ALTER TABLE outbox
ADD COLUMN turn bigint NOT NULL DEFAULT 0,
ADD COLUMN tier smallint NOT NULL DEFAULT 0,
ADD COLUMN provider text COLLATE "C" NOT NULL DEFAULT '';

UPDATE outbox
SET provider = generations.provider
FROM generations
WHERE outbox.generation_id = generations.id AND outbox.account_id = generations.account_id;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX outbox_turns ON outbox (tier, provider, turn, generation_id);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX outbox_own_turns ON outbox (account_id, tier, provider, turn);

-- Every tier and provider that something waits for, by a few steps through the index however much waits.
CREATE VIEW outbox_classes AS
WITH RECURSIVE classes AS (
    (
        SELECT outbox.tier, outbox.provider
        FROM outbox
        ORDER BY outbox.tier, outbox.provider
        LIMIT 1
    )
    UNION ALL
    SELECT following.tier, following.provider
    FROM classes
    CROSS JOIN LATERAL (
        SELECT outbox.tier, outbox.provider
        FROM outbox
        WHERE (outbox.tier, outbox.provider) > (classes.tier, classes.provider)
        ORDER BY outbox.tier, outbox.provider
        LIMIT 1
    ) AS following
)

SELECT classes.tier, classes.provider
FROM classes;

-- The turn of what this account asks for next: behind its own, and one round behind whoever is next. Where nothing waits
-- for this provider, the clock is that of the provider of the same tier that has come furthest: one that is full stays
-- behind, and must not pull newcomers of other providers back to where it stands.
CREATE FUNCTION next_turn(for_account uuid, for_tier smallint, for_provider text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT 1 + greatest(
        (
            SELECT max(outbox.turn)
            FROM outbox
            WHERE outbox.account_id = for_account AND outbox.tier = for_tier AND outbox.provider = for_provider
        ),
        coalesce(
            (
                SELECT min(outbox.turn)
                FROM outbox
                WHERE outbox.tier = for_tier AND outbox.provider = for_provider
            ),
            (
                SELECT max(head.turn)
                FROM outbox_classes
                CROSS JOIN LATERAL (
                    SELECT min(outbox.turn) AS turn
                    FROM outbox
                    WHERE outbox.tier = outbox_classes.tier AND outbox.provider = outbox_classes.provider
                ) AS head
                WHERE outbox_classes.tier = for_tier
            ),
            0
        )
    )
$$;

-- Who decided what about an account's tier: the newest row counts, and one without a tier leaves it to what was paid.
CREATE TABLE account_tiers (
    id bigint GENERATED ALWAYS AS IDENTITY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    changed_at timestamptz NOT NULL DEFAULT now(),
    tier smallint,
    changed_by text NOT NULL,
    CONSTRAINT account_tiers_account_id PRIMARY KEY (account_id, id),
    CONSTRAINT account_tiers_tier CHECK (tier IN (0, 1))
);

CREATE TABLE generation_batches (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    -- When every item had been admitted or refused.
    decided_at timestamptz,
    total smallint NOT NULL,
    request_id text NOT NULL,
    idempotency_sha256 bytea,
    request_sha256 bytea NOT NULL,
    CONSTRAINT generation_batches_id_account PRIMARY KEY (id, account_id),
    CONSTRAINT generation_batches_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT generation_batches_total CHECK (total BETWEEN 1 AND 500)
);

CREATE UNIQUE INDEX generation_batches_idempotency ON generation_batches (account_id, idempotency_sha256)
WHERE idempotency_sha256 IS NOT NULL;

-- An item has either a generation, written together with it, or the problem that it was refused with.
CREATE TABLE generation_batch_items (
    batch_id uuid NOT NULL,
    account_id uuid NOT NULL,
    generation_id uuid,
    ordinal smallint NOT NULL,
    problem bytea,
    CONSTRAINT generation_batch_items_ordinal PRIMARY KEY (batch_id, account_id, ordinal),
    CONSTRAINT generation_batch_items_decided CHECK (num_nulls(generation_id, problem) = 1)
);

GRANT SELECT ON outbox_classes TO holdfast_app;
GRANT SELECT, INSERT ON account_tiers, generation_batch_items TO holdfast_app;
GRANT SELECT, INSERT, UPDATE ON generation_batches TO holdfast_app;
