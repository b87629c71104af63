-- Forget a session and what was said in it; with an account, only if it is this account's.
-- Returns: one row if there was one.
DELETE FROM sessions
WHERE
    sessions.id = %(id)s
    AND (%(account_id)s::uuid IS NULL OR sessions.account_id = %(account_id)s)
RETURNING sessions.id
