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
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(numbers)s) AS number,
        unnest(%(ids)s) AS id,
        unnest(%(origins)s) AS origin,
        unnest(%(sources)s) AS source,
        unnest(%(priorities)s) AS priority,
        unnest(%(expires_ats)s) AS expires_at,
        unnest(%(amounts)s) AS amount,
        unnest(%(remainings)s) AS remaining,
        unnest(%(frozens)s) AS frozen,
        unnest(%(expireds)s) AS expired,
        unnest(%(reverseds)s) AS reversed,
        unnest(%(paid_amounts)s) AS paid_amount,
        unnest(%(paid_currencies)s) AS paid_currency
) AS new
