-- Record lots that a batch brought in.
-- Returns: nothing.
-- Raises:  lots_parts, lots_whole   only a bug can
INSERT INTO lots (
    account_id, number, id, origin, source, priority, expires_at, amount, remaining, frozen, expired, reversed,
    paid_amount, paid_currency
)
SELECT
    new.account_id, new.number, new.id, new.origin, new.source, new.priority, new.expires_at, new.amount,
    new.remaining, new.frozen, new.expired, new.reversed, new.paid_amount, new.paid_currency
FROM unnest(
    %(account_ids)s, %(numbers)s, %(ids)s, %(origins)s, %(sources)s, %(priorities)s, %(expires_ats)s, %(amounts)s,
    %(remainings)s, %(frozens)s, %(expireds)s, %(reverseds)s, %(paid_amounts)s, %(paid_currencies)s
) AS new (
    account_id, number, id, origin, source, priority, expires_at, amount, remaining, frozen, expired, reversed,
    paid_amount, paid_currency
)
