-- Find the generations that ended within a batch: with a settling event of their own, or given a place in it.
-- Returns: one row per generation: its id, its account, and the day in UTC, as days since 1970-01-01.
SELECT
    substr(events.command_key, length('holdfast:settle:') + 1)::uuid AS generation_id,
    events.account_id,
    (events.recorded_at AT TIME ZONE 'UTC')::date - date '1970-01-01' AS day
FROM sealed
INNER JOIN events ON sealed.position = events.position
WHERE
    sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
    AND events.position >= %(first_position)s AND events.position <= %(last_position)s
    AND events.kind = ANY(%(resolving)s)
    AND starts_with(events.command_key, 'holdfast:settle:')
UNION ALL
SELECT
    unbilled_endings.generation_id, unbilled_endings.account_id,
    unbilled_endings.ended_on - date '1970-01-01' AS day
FROM unbilled_endings
WHERE unbilled_endings.seq > %(after_seq)s AND unbilled_endings.seq <= %(upto_seq)s
