-- Note what follows from the end of an attempt; the account must be locked.
-- Returns: nothing.
UPDATE auto_top_ups
SET
    in_flight = false,
    declines = %(declines)s,
    suspended_at = coalesce(auto_top_ups.suspended_at, %(suspended_at)s),
    due_at = %(due_at)s
WHERE auto_top_ups.account_id = %(account_id)s
