-- Returns: how many webhooks are due, at most one.
SELECT count(*)
FROM (
    SELECT payment_inbox.id
    FROM payment_inbox
    WHERE payment_inbox.state = 0 AND payment_inbox.due_at <= now()
    LIMIT 1 -- noqa: AM09
) AS due
