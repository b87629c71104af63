-- Count what would be served before the next generation that this account asks for; paid ones are not in a free one's way
-- by number, they only make it wait longer.
-- Returns: one row with the number, at most `most`.
WITH mine AS (
    SELECT next_turn(%(account_id)s, %(tier)s::smallint, %(provider)s) AS turn
)

SELECT least(coalesce(sum(ahead.waiting), 0), %(most)s)::integer
FROM outbox_classes
CROSS JOIN mine
CROSS JOIN LATERAL ( -- noqa: ST05
    WITH before AS (
        SELECT outbox.turn
        FROM outbox
        WHERE
            outbox.tier = outbox_classes.tier
            AND outbox.provider = outbox_classes.provider
            AND outbox.turn <= mine.turn
        ORDER BY outbox.turn, outbox.generation_id
        LIMIT %(most)s
    )

    SELECT count(*) AS waiting
    FROM before
) AS ahead
WHERE outbox_classes.tier = %(tier)s
