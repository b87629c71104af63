-- Take what is due, and keep others off it for a while. What is due is so by a clock that stands still meanwhile: by one that
-- goes on, no index could pass over what waits.
-- Returns: what processing needs of each, at most `limit`.
UPDATE payment_inbox
SET tries = payment_inbox.tries + 1, due_at = clock_timestamp() + %(lease)s::interval
FROM (
    SELECT due.id
    FROM payment_inbox AS due
    WHERE due.state = 0 AND due.due_at <= now()
    ORDER BY due.due_at, due.id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) AS due
WHERE payment_inbox.id = due.id
RETURNING
    payment_inbox.id, payment_inbox.gateway, payment_inbox.kind, payment_inbox.object_id, payment_inbox.request_id,
    payment_inbox.headers, payment_inbox.body, payment_inbox.tries
