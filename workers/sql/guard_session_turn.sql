-- Lock a session in which nothing was said since it was read, and no answer is being written.
-- Returns: one row if so.
SELECT sessions.id
FROM sessions
WHERE
    sessions.id = %(session_id)s
    AND sessions.account_id = %(account_id)s
    AND sessions.next_ordinal = %(next_ordinal)s
    AND NOT EXISTS (
        SELECT 1
        FROM generations
        WHERE
            generations.id = sessions.generation_id
            AND generations.account_id = sessions.account_id
            AND generations.status < 2
    )
FOR UPDATE OF sessions
