-- Record freezes that a batch opened; some may be resolved already by a later command of the same batch.
-- Returns: nothing.
-- Raises:  freezes_id_account   the id is taken
INSERT INTO freezes (
    account_id, id, amount, draws, opened_at, expires_at, reference, state, confirmed, resolved_at
)
SELECT
    new.account_id, new.id, new.amount, new.draws, new.opened_at, new.expires_at, new.reference, new.state,
    new.confirmed, new.resolved_at
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(ids)s) AS id,
        unnest(%(amounts)s) AS amount,
        unnest(%(draws)s) AS draws,
        unnest(%(opened_ats)s) AS opened_at,
        unnest(%(expires_ats)s) AS expires_at,
        unnest(%(references)s) AS reference,
        unnest(%(states)s) AS state,
        unnest(%(confirmeds)s) AS confirmed,
        unnest(%(resolved_ats)s) AS resolved_at
) AS new
