-- Add the accounts that a batch opened, and when accounts first bought credits, as far as the batch tells.
-- An account's opening is its first event, so it is in this batch or an earlier one.
-- Returns: nothing.
INSERT INTO analytics_accounts AS kept (build, account_id, opened_at, opened_on, first_bought_at)
SELECT
    %(build)s, told.account_id,
    coalesce(told.opened_at, told.first_bought_at),
    (coalesce(told.opened_at, told.first_bought_at) AT TIME ZONE 'UTC')::date,
    told.first_bought_at
FROM (
    SELECT
        events.account_id,
        min(events.recorded_at) FILTER (WHERE events.kind = %(opened)s) AS opened_at,
        min(events.recorded_at) FILTER (WHERE events.kind = %(bought)s) AS first_bought_at
    FROM sealed
    INNER JOIN events ON sealed.position = events.position
    WHERE
        sealed.seq > %(after_seq)s AND sealed.seq <= %(upto_seq)s
        AND events.position >= %(first_position)s AND events.position <= %(last_position)s
        AND events.kind IN (%(opened)s, %(bought)s)
    GROUP BY events.account_id
) AS told
ON CONFLICT (build, account_id) DO UPDATE
SET first_bought_at = least(kept.first_bought_at, excluded.first_bought_at)
