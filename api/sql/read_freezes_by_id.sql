-- Find freezes by their ids alone, whatever account they belong to.
-- Returns: one row per freeze that exists.
SELECT
    freezes.id, freezes.account_id, freezes.amount, freezes.state, freezes.confirmed, freezes.opened_at,
    freezes.expires_at, freezes.resolved_at, freezes.reference
FROM freezes
WHERE freezes.id = ANY(%(ids)s)
