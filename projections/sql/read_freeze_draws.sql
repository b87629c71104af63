-- Find the events that opened these freezes, from the account's own log.
-- Returns: one row per freeze: its account and id, and the body of the event that opened it.
WITH wanted AS (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(freeze_ids)s) AS freeze_id,
        unnest(%(versions)s) AS version
)

SELECT wanted.account_id, wanted.freeze_id, opening.body
FROM wanted
CROSS JOIN LATERAL (
    SELECT events.body
    FROM events
    WHERE
        events.account_id = wanted.account_id AND events.version < wanted.version AND events.kind = 4
        AND convert_from(events.body, 'UTF8')::json ->> 'freeze_id' = wanted.freeze_id::text
    ORDER BY events.version DESC
    LIMIT 1
) AS opening
