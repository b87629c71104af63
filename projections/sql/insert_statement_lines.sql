-- Add the lines of a batch of sealed events: what each changed, and the balance after it.
-- Returns: nothing; as many lines as there are events of known kinds.
INSERT INTO statement_lines (
    build, account_id, version, seq, kind, amount, available_change, frozen_change, available_after, frozen_after,
    recorded_at, effective_at, freeze_id, reference, reason
)
SELECT
    %(build)s, events.account_id, events.version, sealed.seq, events.kind, events.amount,
    events.available_after - coalesce(previous.available_after, 0),
    events.frozen_after - coalesce(previous.frozen_after, 0),
    events.available_after, events.frozen_after, events.recorded_at,
    coalesce(
        timestamptz '1970-01-01 00:00:00+00' + body.effective_at_us * interval '1 microsecond', events.recorded_at
    ),
    body.freeze_id, coalesce(body.reference, ''), coalesce(body.reason, '')
FROM sealed
INNER JOIN events ON sealed.position = events.position
LEFT JOIN events AS previous
    ON events.account_id = previous.account_id AND previous.version = events.version - 1
CROSS JOIN LATERAL json_to_record(convert_from(events.body, 'UTF8')::json) AS body (
    effective_at_us bigint, freeze_id uuid, reference text, reason text
)
WHERE sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s AND events.kind = ANY(%(kinds)s)
