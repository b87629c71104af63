-- Note that an attempt has begun; its account must be locked.
-- Returns: nothing.
UPDATE auto_top_ups
SET in_flight = true, last_number = %(number)s, due_at = %(due_at)s
WHERE auto_top_ups.account_id = %(account_id)s
