-- Read an account's sessions, newest first.
-- Returns: at most `limit` rows, the columns of read_session.sql.
SELECT
    sessions.id, sessions.account_id, sessions.model, sessions.title, sessions.system, sessions.next_ordinal,
    sessions.created_at, sessions.updated_at,
    generations.id IS NOT NULL
FROM sessions
LEFT JOIN generations
    ON
        sessions.generation_id = generations.id
        AND sessions.account_id = generations.account_id
        AND generations.status < 2
WHERE
    sessions.account_id = %(account_id)s
    AND (%(before_id)s::uuid IS NULL OR sessions.id < %(before_id)s)
ORDER BY sessions.id DESC
LIMIT %(limit)s
