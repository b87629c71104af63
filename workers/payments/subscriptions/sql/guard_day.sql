-- See that an account was given nothing for a day that goes on when this one begins, nor less than 20 hours before that.
-- Returns: one row if so.
SELECT daily_credits.account_id
FROM daily_credits
WHERE
    daily_credits.account_id = %(account_id)s
    AND (
        daily_credits.begins_at IS NULL
        OR (
            daily_credits.ends_at <= %(begins_at)s
            AND daily_credits.begins_at <= %(begins_at)s - interval '20 hours'
        )
    )
FOR UPDATE
