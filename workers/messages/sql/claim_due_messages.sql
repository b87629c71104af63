-- Take messages that are to be sent now, and put them off until whoever takes them must have sent them.
-- Returns: each with how often it was taken, and the contact of its account if there is one; at most `limit`.
WITH due AS (
    SELECT
        messages.account_id,
        messages.key,
        account_contacts.email,
        account_contacts.locale,
        account_contacts.time_zone
    FROM messages
    LEFT JOIN account_contacts ON messages.account_id = account_contacts.account_id
    WHERE messages.state = 0 AND messages.due_at <= now()
    ORDER BY messages.due_at
    LIMIT %(limit)s
    FOR UPDATE OF messages SKIP LOCKED
)

UPDATE messages SET
    tries = messages.tries + 1,
    due_at = now() + %(lease)s::interval
FROM due
WHERE messages.account_id = due.account_id AND messages.key = due.key
RETURNING
    messages.account_id, messages.key, messages.kind, messages.values, messages.created_at, messages.tries,
    due.email, due.locale, due.time_zone
