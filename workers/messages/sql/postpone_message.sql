-- Have a message tried again later, unless somebody else has taken it since.
-- Returns: nothing.
UPDATE messages SET
    due_at = now() + %(pause)s::interval,
    last_error = %(error)s
WHERE account_id = %(account_id)s AND key = %(key)s AND state = 0 AND tries = %(tries)s
