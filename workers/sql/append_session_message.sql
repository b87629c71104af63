-- Append what the user said, and await the answer of a generation; the caller holds the session by a guard.
-- Returns: nothing.
WITH awaiting AS (
    UPDATE sessions
    SET
        generation_id = %(generation_id)s,
        last_generation_id = %(generation_id)s,
        next_ordinal = sessions.next_ordinal + 1,
        updated_at = now()
    WHERE sessions.id = %(session_id)s AND sessions.account_id = %(account_id)s
    RETURNING sessions.id, sessions.account_id, sessions.next_ordinal - 1 AS ordinal
)

INSERT INTO session_messages (session_id, account_id, ordinal, role, parts, generation_id)
SELECT awaiting.id, awaiting.account_id, awaiting.ordinal, 'user', %(parts)s, %(generation_id)s
FROM awaiting
