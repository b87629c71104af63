-- Count what will be served before a generation that waits.
-- Returns: one row with its tier and the number, at most `most`; none if it does not wait.
SELECT mine.tier, least(sum(ahead.waiting), %(most)s)::integer
FROM outbox AS mine
INNER JOIN outbox_classes ON mine.tier = outbox_classes.tier
CROSS JOIN LATERAL ( -- noqa: ST05
    WITH before AS (
        SELECT outbox.turn
        FROM outbox
        WHERE
            outbox.tier = outbox_classes.tier
            AND outbox.provider = outbox_classes.provider
            AND (outbox.turn, outbox.generation_id) < (mine.turn, mine.generation_id)
        ORDER BY outbox.turn, outbox.generation_id
        LIMIT %(most)s
    )

    SELECT count(*) AS waiting
    FROM before
) AS ahead
WHERE mine.generation_id = %(generation_id)s AND mine.account_id = %(account_id)s
GROUP BY mine.tier
