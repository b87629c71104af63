-- Read one freeze by its id.
-- Returns: one row, or none.
SELECT
    freezes.id, freezes.account_id, freezes.amount, freezes.state, freezes.confirmed, freezes.opened_at,
    freezes.expires_at, freezes.resolved_at, freezes.reference
FROM freezes
WHERE freezes.id = %(freeze_id)s
