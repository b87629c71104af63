-- Say what became of a message, for good, unless somebody else has taken it since.
-- Returns: nothing.
UPDATE messages SET
    state = %(state)s,
    sent_at = CASE WHEN %(state)s = 1 THEN now() END,
    last_error = %(error)s
WHERE account_id = %(account_id)s AND key = %(key)s AND state = 0 AND tries = %(tries)s
