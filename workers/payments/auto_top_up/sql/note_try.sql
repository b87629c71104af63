-- Note that a gateway is about to be asked, before it is.
-- Returns: one row if the attempt is in flight: how often it was asked, this time included.
UPDATE auto_top_up_attempts
SET tries = auto_top_up_attempts.tries + 1
WHERE
    auto_top_up_attempts.account_id = %(account_id)s
    AND auto_top_up_attempts.number = %(number)s
    AND auto_top_up_attempts.outcome = 0
RETURNING auto_top_up_attempts.tries
