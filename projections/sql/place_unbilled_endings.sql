-- Give endings without an event their place in the sealed order, once and for all.
-- Returns: one row per generation: its id, its account, and the day in UTC, as days since 1970-01-01.
WITH waiting AS (
    SELECT unbilled_endings.generation_id, unbilled_endings.account_id
    FROM unbilled_endings
    WHERE unbilled_endings.seq IS NULL
    ORDER BY unbilled_endings.generation_id
    LIMIT %(limit)s
    FOR UPDATE
)

UPDATE unbilled_endings
SET seq = %(seq)s
FROM waiting
WHERE
    unbilled_endings.generation_id = waiting.generation_id AND unbilled_endings.account_id = waiting.account_id
RETURNING
    unbilled_endings.generation_id, unbilled_endings.account_id, unbilled_endings.ended_on - date '1970-01-01' AS day
