-- Note when to go on with an attempt in flight.
-- Returns: nothing.
UPDATE auto_top_ups
SET due_at = %(due_at)s
WHERE auto_top_ups.account_id = %(account_id)s AND auto_top_ups.in_flight AND auto_top_ups.last_number = %(number)s
