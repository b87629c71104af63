-- Read one session; with an account, only if it is this account's.
-- Returns: at most one row; the last column says whether an answer is being written.
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
    sessions.id = %(id)s
    AND (%(account_id)s::uuid IS NULL OR sessions.account_id = %(account_id)s)
