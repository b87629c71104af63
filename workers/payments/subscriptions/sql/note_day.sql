-- Note for which day an account was given free credits; the next are due when it ends.
-- Returns: nothing.
UPDATE daily_credits
SET
    local_day = %(local_day)s,
    begins_at = %(begins_at)s,
    ends_at = %(ends_at)s,
    due_at = %(ends_at)s
WHERE daily_credits.account_id = %(account_id)s
