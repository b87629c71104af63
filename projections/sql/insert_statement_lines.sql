-- Add the lines of a batch of sealed events: what each changed, and the balance after it.
-- Most events stand beside the one before them in the account; only where that is in an earlier batch is it looked up.
-- Each body is taken apart in the inner query: there once, and not once for each of its fields.
-- Returns: nothing; as many lines as there are events of known kinds.
INSERT INTO statement_lines (
    build, account_id, version, seq, kind, amount, available_change, frozen_change, available_after, frozen_after,
    recorded_at, effective_at, freeze_id, reference, reason
)
SELECT
    %(build)s, batch.account_id, batch.version, batch.seq, batch.kind, batch.amount,
    batch.available_after - CASE
        WHEN batch.version_beside = batch.version - 1 THEN batch.available_beside
        ELSE coalesce((
            SELECT previous.available_after FROM events AS previous
            WHERE previous.account_id = batch.account_id AND previous.version = batch.version - 1
        ), 0)
    END,
    batch.frozen_after - CASE
        WHEN batch.version_beside = batch.version - 1 THEN batch.frozen_beside
        ELSE coalesce((
            SELECT previous.frozen_after FROM events AS previous
            WHERE previous.account_id = batch.account_id AND previous.version = batch.version - 1
        ), 0)
    END,
    batch.available_after, batch.frozen_after, batch.recorded_at,
    coalesce(
        timestamptz '1970-01-01 00:00:00+00' + (batch.body ->> 'effective_at_us')::bigint * interval '1 microsecond',
        batch.recorded_at
    ),
    (batch.body ->> 'freeze_id')::uuid, coalesce(batch.body ->> 'reference', ''), coalesce(batch.body ->> 'reason', '')
FROM (
    SELECT
        events.account_id, events.version, sealed.seq, events.kind, events.amount, events.available_after,
        events.frozen_after, events.recorded_at,
        lag(events.version) OVER beside AS version_beside,
        lag(events.available_after) OVER beside AS available_beside,
        lag(events.frozen_after) OVER beside AS frozen_beside,
        convert_from(events.body, 'UTF8')::jsonb AS body
    FROM sealed
    INNER JOIN events ON sealed.position = events.position
    WHERE
        sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
        AND events.position >= %(first_position)s AND events.position <= %(last_position)s
        AND events.kind = ANY(%(kinds)s)
    WINDOW beside AS (PARTITION BY events.account_id ORDER BY events.version)
) AS batch
