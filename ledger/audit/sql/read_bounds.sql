-- Split the accounts into ranges of about so many events.
-- Returns: the last account of each range, in order; what is above the last belongs to one more range.
SELECT max(placed.id::text)::uuid AS last
FROM (
    SELECT
        accounts.id,
        div(sum(greatest(accounts.version, 1)) OVER (ORDER BY accounts.id), %(events)s) AS part
    FROM accounts
) AS placed
GROUP BY placed.part
ORDER BY placed.part
