-- Read the reversals that reinstatements undo.
-- Returns: one row per reversal: its account and version, the body of its event, and its place in the sealed order.
WITH wanted AS (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(versions)s) AS version
)

SELECT events.account_id, events.version, events.body, sealed.seq
FROM wanted
INNER JOIN events ON wanted.account_id = events.account_id AND wanted.version = events.version
INNER JOIN sealed ON events.position = sealed.position
