-- Read the freezes that a batch resolves, after their accounts are locked.
-- Returns: one row per freeze that exists.
SELECT
    freezes.account_id, freezes.id, freezes.amount, freezes.draws, freezes.expires_at, freezes.state,
    freezes.confirmed
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(freeze_ids)s) AS freeze_id
) AS wanted
INNER JOIN freezes ON wanted.freeze_id = freezes.id AND wanted.account_id = freezes.account_id
