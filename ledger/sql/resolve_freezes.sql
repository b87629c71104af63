-- Resolve freezes that were opened by an earlier batch.
-- Returns: nothing; the row count is the number of freezes.
UPDATE freezes
SET state = resolved.state, confirmed = resolved.confirmed, resolved_at = resolved.resolved_at
FROM unnest(%(account_ids)s, %(ids)s, %(states)s, %(confirmeds)s, %(resolved_ats)s)
    AS resolved (account_id, id, state, confirmed, resolved_at)
WHERE freezes.id = resolved.id AND freezes.account_id = resolved.account_id AND freezes.state = 0
