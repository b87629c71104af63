-- The first events of the log in the sealed order, as CSV with a header. Amounts are credits.
-- Returns: a stream of CSV.
COPY (
    SELECT
        sealed.seq, events.account_id, events.version, (%(kinds)s::text[])[events.kind] AS kind,
        (events.amount * 0.000001)::numeric(24, 6) AS amount,
        (events.available_after * 0.000001)::numeric(24, 6) AS available_after,
        (events.frozen_after * 0.000001)::numeric(24, 6) AS frozen_after,
        events.recorded_at, events.command_key, convert_from(events.body, 'UTF8') AS body,
        encode(events.hash, 'hex') AS hash
    FROM sealed
    INNER JOIN events ON sealed.position = events.position
    WHERE sealed.seq <= %(seq)s
    ORDER BY sealed.seq
) TO STDOUT (FORMAT csv, HEADER true)
