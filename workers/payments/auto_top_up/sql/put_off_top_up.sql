-- Note when to look at an account again, null for never; it must be locked.
-- Returns: nothing.
UPDATE auto_top_ups
SET due_at = %(due_at)s
WHERE auto_top_ups.account_id = %(account_id)s
