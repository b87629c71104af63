-- Add what accounts did in a batch: credits that came in and were used, and whether they did anything themselves.
-- Returns: nothing.
INSERT INTO analytics_account_days AS kept (
    build, day, account_id, freezes, charges, purchases, bought, granted, spent
)
SELECT
    %(build)s,
    (events.recorded_at AT TIME ZONE 'UTC')::date AS day,
    events.account_id,
    count(*) FILTER (WHERE events.kind = %(frozen)s),
    count(*) FILTER (WHERE events.kind = %(charged)s),
    count(*) FILTER (WHERE events.kind = %(bought)s),
    coalesce(sum(events.amount) FILTER (WHERE events.kind = %(bought)s), 0),
    coalesce(sum(events.amount) FILTER (WHERE events.kind = %(granted)s), 0),
    coalesce(sum(events.amount) FILTER (WHERE events.kind IN (%(confirmed)s, %(charged)s)), 0)
FROM sealed
INNER JOIN events ON sealed.position = events.position
WHERE
    sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
    AND events.position >= %(first_position)s AND events.position <= %(last_position)s
    AND events.kind IN (%(frozen)s, %(confirmed)s, %(charged)s, %(bought)s, %(granted)s)
GROUP BY (events.recorded_at AT TIME ZONE 'UTC')::date, events.account_id
ON CONFLICT (build, day, account_id) DO UPDATE
SET
    freezes = kept.freezes + excluded.freezes,
    charges = kept.charges + excluded.charges,
    purchases = kept.purchases + excluded.purchases,
    bought = kept.bought + excluded.bought,
    granted = kept.granted + excluded.granted,
    spent = kept.spent + excluded.spent
