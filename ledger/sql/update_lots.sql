-- Change lots that a batch drew on or gave back to.
-- Returns: nothing.
-- Raises:  lots_parts, lots_whole   only a bug can
UPDATE lots
SET
    remaining = changed.remaining,
    frozen = changed.frozen,
    expired = changed.expired,
    reversed = changed.reversed
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(numbers)s) AS number,
        unnest(%(remainings)s) AS remaining,
        unnest(%(frozens)s) AS frozen,
        unnest(%(expireds)s) AS expired,
        unnest(%(reverseds)s) AS reversed
) AS changed
WHERE lots.account_id = changed.account_id AND lots.number = changed.number
