-- Change lots that a batch drew on or gave back to.
-- Returns: nothing.
-- Raises:  lots_parts, lots_whole   only a bug can
UPDATE lots
SET
    remaining = changed.remaining,
    frozen = changed.frozen,
    expired = changed.expired,
    reversed = changed.reversed
FROM unnest(%(account_ids)s, %(numbers)s, %(remainings)s, %(frozens)s, %(expireds)s, %(reverseds)s)
    AS changed (account_id, number, remaining, frozen, expired, reversed)
WHERE lots.account_id = changed.account_id AND lots.number = changed.number
