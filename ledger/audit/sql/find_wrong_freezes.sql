-- Compare freezes with what their events come to.
-- Returns: account and id of each that is missing or not so.
SELECT expected.account_id, expected.id
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(ids)s) AS id,
        unnest(%(amounts)s) AS amount,
        unnest(%(draws)s) AS draws,
        unnest(%(expires_ats)s) AS expires_at,
        unnest(%(references)s) AS reference,
        unnest(%(states)s) AS state,
        unnest(%(confirmeds)s) AS confirmed,
        unnest(%(opened_ats)s) AS opened_at,
        unnest(%(resolved_ats)s) AS resolved_at
) AS expected
LEFT JOIN freezes ON expected.id = freezes.id AND expected.account_id = freezes.account_id
WHERE
    (
        freezes.amount = expected.amount
        AND freezes.draws = expected.draws
        AND freezes.expires_at = expected.expires_at
        AND freezes.reference = expected.reference
        AND freezes.state = expected.state
        AND freezes.confirmed = expected.confirmed
        AND freezes.opened_at = expected.opened_at
        AND freezes.resolved_at IS NOT DISTINCT FROM expected.resolved_at
    ) IS NOT TRUE
