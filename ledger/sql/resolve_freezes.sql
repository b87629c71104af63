-- Resolve freezes that were opened by an earlier batch.
-- Returns: nothing; the row count is the number of freezes.
UPDATE freezes
SET state = resolved.state, confirmed = resolved.confirmed, resolved_at = resolved.resolved_at
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(ids)s) AS id,
        unnest(%(states)s) AS state,
        unnest(%(confirmeds)s) AS confirmed,
        unnest(%(resolved_ats)s) AS resolved_at
) AS resolved
WHERE freezes.id = resolved.id AND freezes.account_id = resolved.account_id AND freezes.state = 0
