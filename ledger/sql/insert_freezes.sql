-- Record freezes that a batch opened; some may be resolved already by a later command of the same batch.
-- Returns: nothing.
-- Raises:  freezes_id_account   the id is taken
INSERT INTO freezes (
    account_id, id, amount, draws, opened_at, expires_at, reference, state, confirmed, resolved_at
)
SELECT
    new.account_id, new.id, new.amount, new.draws, new.opened_at, new.expires_at, new.reference, new.state,
    new.confirmed, new.resolved_at
FROM unnest(
    %(account_ids)s, %(ids)s, %(amounts)s, %(draws)s, %(opened_ats)s, %(expires_ats)s, %(references)s, %(states)s,
    %(confirmeds)s, %(resolved_ats)s
) AS new (account_id, id, amount, draws, opened_at, expires_at, reference, state, confirmed, resolved_at)
