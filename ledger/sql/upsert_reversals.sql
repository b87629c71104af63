-- Record reversals of top-ups, and that one was reinstated.
-- Returns: nothing.
INSERT INTO reversals (account_id, version, lot_number, amount, draws, already_expired, debt, reinstated)
SELECT
    new.account_id, new.version, new.lot_number, new.amount, new.draws, new.already_expired, new.debt,
    new.reinstated = 1
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(versions)s) AS version,
        unnest(%(lot_numbers)s) AS lot_number,
        unnest(%(amounts)s) AS amount,
        unnest(%(draws)s) AS draws,
        unnest(%(already_expireds)s) AS already_expired,
        unnest(%(debts)s) AS debt,
        unnest(%(reinstateds)s) AS reinstated
) AS new
ON CONFLICT (account_id, version) DO UPDATE SET reinstated = excluded.reinstated
