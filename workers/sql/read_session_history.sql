-- Read the newest messages of a session, as many as have so many bytes together.
-- Returns: at most `limit` rows, newest first.
SELECT newest.ordinal, newest.role, newest.parts, newest.partial
FROM (
    SELECT
        session_messages.ordinal, session_messages.role, session_messages.parts, session_messages.partial,
        sum(octet_length(session_messages.parts)) OVER (ORDER BY session_messages.ordinal DESC) AS bytes
    FROM session_messages
    WHERE
        session_messages.session_id = %(session_id)s
        AND session_messages.account_id = %(account_id)s
        AND session_messages.ordinal >= %(next_ordinal)s - %(limit)s
        AND session_messages.ordinal < %(next_ordinal)s
) AS newest
WHERE newest.bytes <= %(bytes)s
ORDER BY newest.ordinal DESC
LIMIT %(limit)s
