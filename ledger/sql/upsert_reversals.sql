-- Record reversals of top-ups, and that one was reinstated.
-- Returns: nothing.
INSERT INTO reversals (account_id, version, lot_number, amount, draws, already_expired, debt, reinstated)
SELECT
    new.account_id, new.version, new.lot_number, new.amount, new.draws, new.already_expired, new.debt,
    new.reinstated = 1
FROM unnest(
    %(account_ids)s, %(versions)s, %(lot_numbers)s, %(amounts)s, %(draws)s, %(already_expireds)s, %(debts)s,
    %(reinstateds)s
) AS new (account_id, version, lot_number, amount, draws, already_expired, debt, reinstated)
ON CONFLICT (account_id, version) DO UPDATE SET reinstated = excluded.reinstated
