-- Read what was said in a session, in order.
-- Returns: at most `limit` rows.
SELECT
    session_messages.ordinal, session_messages.role, session_messages.parts, session_messages.generation_id,
    session_messages.partial, session_messages.created_at
FROM session_messages
WHERE
    session_messages.session_id = %(session_id)s
    AND session_messages.account_id = %(account_id)s
    AND session_messages.ordinal > %(after)s
ORDER BY session_messages.ordinal
LIMIT %(limit)s
