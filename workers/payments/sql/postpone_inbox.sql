-- Note why one could not be processed: it is tried again later, or left for somebody to look at.
-- Returns: nothing.
UPDATE payment_inbox
SET
    state = CASE WHEN %(is_dead)s THEN 2 ELSE 0 END,
    due_at = clock_timestamp() + %(pause)s::interval,
    last_error = %(error)s
WHERE payment_inbox.id = %(id)s AND payment_inbox.state = 0
