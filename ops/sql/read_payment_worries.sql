-- Count what somebody should look at in payments.
-- Returns: one row: webhooks that were given up, webhooks that are due for five minutes and more, mismatches that nobody has
-- dealt with.
WITH dead AS (
    SELECT count(*) AS total
    FROM payment_inbox
    WHERE payment_inbox.state = 2
),

overdue AS (
    SELECT count(*) AS total
    FROM payment_inbox
    WHERE payment_inbox.state = 0 AND payment_inbox.due_at < clock_timestamp() - interval '5 minutes'
),

mismatches AS (
    SELECT count(*) AS total
    FROM payment_mismatches
    WHERE payment_mismatches.resolved_at IS NULL
)

SELECT dead.total AS dead, overdue.total AS overdue, mismatches.total AS mismatches
FROM dead
CROSS JOIN overdue
CROSS JOIN mismatches
