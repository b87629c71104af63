-- Say when free credits of accounts are to be looked at again; null: not before something happens.
-- Returns: nothing.
UPDATE daily_credits
SET due_at = later.due_at
FROM (
    SELECT
        unnest(%(account_ids)s::uuid[]) AS account_id,
        unnest(%(due_ats)s::timestamptz[]) AS due_at
) AS later
WHERE daily_credits.account_id = later.account_id AND daily_credits.due_at <= %(now)s
