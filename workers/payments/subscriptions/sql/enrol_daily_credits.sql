-- Have an account's free credits of the day looked at, now where nothing is due later.
-- Returns: nothing.
INSERT INTO daily_credits (account_id, due_at)
VALUES (%(account_id)s, now())
ON CONFLICT ON CONSTRAINT daily_credits_account_id DO UPDATE
SET due_at = coalesce(daily_credits.due_at, excluded.due_at)
