-- Add the lines of a batch of sealed events to the blocks that they belong to: where each is, and what it changed.
-- Most events stand beside the one before them in the account; only where that is in an earlier batch is it looked up.
-- A block may have lines of earlier batches, or of later ones, where several are taken at once; `seq` has their order. All
-- blocks are added in one order, so those who add some of the same at once wait for each other in turn.
-- Returns: one row: how many lines were added; as many as there are events of known kinds.
WITH blocks AS MATERIALIZED (
    SELECT
        batch.account_id, batch.version - mod(batch.version - 1, %(block_lines)s) AS first_version,
        array_agg(batch.seq ORDER BY batch.version) AS seqs,
        array_agg(batch.available_after - CASE
            WHEN batch.version_beside = batch.version - 1 THEN batch.available_beside
            ELSE coalesce((
                SELECT previous.available_after FROM events AS previous
                WHERE previous.account_id = batch.account_id AND previous.version = batch.version - 1
            ), 0)
        END ORDER BY batch.version) AS available_changes,
        array_agg(batch.frozen_after - CASE
            WHEN batch.version_beside = batch.version - 1 THEN batch.frozen_beside
            ELSE coalesce((
                SELECT previous.frozen_after FROM events AS previous
                WHERE previous.account_id = batch.account_id AND previous.version = batch.version - 1
            ), 0)
        END ORDER BY batch.version) AS frozen_changes
    FROM (
        SELECT
            events.account_id, events.version, sealed.seq, events.available_after, events.frozen_after,
            lag(events.version) OVER beside AS version_beside,
            lag(events.available_after) OVER beside AS available_beside,
            lag(events.frozen_after) OVER beside AS frozen_beside
        FROM sealed
        INNER JOIN events ON sealed.position = events.position
        WHERE
            sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
            AND events.position >= %(first_position)s AND events.position <= %(last_position)s
            AND events.kind = ANY(%(kinds)s)
        WINDOW beside AS (PARTITION BY events.account_id ORDER BY events.version)
    ) AS batch
    GROUP BY batch.account_id, first_version
),

added AS (
    INSERT INTO statement_blocks AS kept (
        build, account_id, first_version, seqs, available_changes, frozen_changes
    )
    SELECT
        %(build)s, blocks.account_id, blocks.first_version, blocks.seqs, blocks.available_changes, blocks.frozen_changes
    FROM blocks
    ORDER BY blocks.account_id, blocks.first_version
    ON CONFLICT (build, account_id, first_version) DO UPDATE
    SET
        (seqs, available_changes, frozen_changes) = (
            SELECT
                array_agg(line.seq ORDER BY line.seq), array_agg(line.available_change ORDER BY line.seq),
                array_agg(line.frozen_change ORDER BY line.seq)
            FROM unnest(
                kept.seqs || excluded.seqs, -- noqa: RF01
                kept.available_changes || excluded.available_changes, -- noqa: RF01
                kept.frozen_changes || excluded.frozen_changes -- noqa: RF01
            ) AS line (seq, available_change, frozen_change)
        )
)

SELECT coalesce(sum(cardinality(blocks.seqs)), 0)::bigint AS lines FROM blocks
