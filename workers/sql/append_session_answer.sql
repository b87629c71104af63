-- Append the answer of a generation to the session that awaits it, if one does, and await it no longer.
-- Returns: nothing.
WITH answered AS (
    UPDATE sessions
    SET
        generation_id = NULL,
        next_ordinal = sessions.next_ordinal + CASE WHEN %(parts)s::bytea IS NULL THEN 0 ELSE 1 END,
        updated_at = now()
    WHERE sessions.account_id = %(account_id)s AND sessions.generation_id = %(generation_id)s
    RETURNING sessions.id, sessions.account_id, sessions.next_ordinal - 1 AS ordinal
)

INSERT INTO session_messages (session_id, account_id, ordinal, role, parts, generation_id, partial)
SELECT answered.id, answered.account_id, answered.ordinal, 'assistant', %(parts)s, %(generation_id)s, %(partial)s
FROM answered
WHERE %(parts)s::bytea IS NOT NULL
