-- Keep what the journal now knows of lots.
-- Returns: nothing.
-- Raises:  journal_lots_parts, journal_lots_reversed, journal_lots_money   the entries contradict each other
INSERT INTO journal_lots (
    build, account_id, number, is_bought, currency, unit, paid, amount, held, reversed, expired, expired_deferred,
    expired_recognised
)
SELECT
    %(build)s,
    unnest(%(account_ids)s),
    unnest(%(numbers)s),
    unnest(%(are_bought)s) = 1,
    unnest(%(currencies)s),
    unnest(%(units)s),
    unnest(%(paids)s)::numeric,
    unnest(%(amounts)s),
    unnest(%(helds)s),
    unnest(%(reverseds)s),
    unnest(%(expireds)s),
    unnest(%(deferreds)s)::numeric,
    unnest(%(recogniseds)s)::numeric
ON CONFLICT ON CONSTRAINT journal_lots_account_number DO UPDATE
SET
    held = excluded.held,
    reversed = excluded.reversed,
    expired = excluded.expired,
    expired_deferred = excluded.expired_deferred,
    expired_recognised = excluded.expired_recognised
