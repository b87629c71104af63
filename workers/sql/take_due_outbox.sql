-- Take what should have been claimed by now, and put it off until it has had time to be, once sent again.
-- Returns: what to send.
WITH due AS (
    SELECT outbox.generation_id, outbox.account_id
    FROM outbox
    WHERE outbox.due_at <= now() - %(patience)s::interval
    ORDER BY outbox.due_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)

UPDATE outbox
SET
    due_at = now() + least(%(resend_after)s::interval * power(2, least(outbox.sends, 10)), %(longest)s::interval),
    sends = outbox.sends + 1
FROM due
WHERE outbox.generation_id = due.generation_id AND outbox.account_id = due.account_id
RETURNING outbox.account_id, outbox.generation_id, outbox.request_id
