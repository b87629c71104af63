-- Take what should have been claimed by now, and put it off until it has had time to be, once sent again. What waits for a
-- provider that is full is left alone: whoever makes room there takes it.
-- Returns: what to send. `patience` has one interval per tier, by its number.
WITH due AS (
    SELECT outbox.generation_id, outbox.account_id
    FROM outbox
    WHERE
        outbox.due_at <= now()
        AND outbox.due_at <= now() - (%(patience)s::interval[])[outbox.tier + 1]
        AND outbox.provider <> ALL(%(full_providers)s::text[])
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
RETURNING outbox.tier, outbox.request_id
