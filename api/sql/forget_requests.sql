-- Forget recorded answers that nobody will ask for again, some at a time.
-- Returns: nothing; the row count is the number forgotten.
DELETE FROM idempotent_requests
WHERE (idempotent_requests.principal, idempotent_requests.idempotency_key) IN (
    SELECT aged.principal, aged.idempotency_key
    FROM idempotent_requests AS aged
    WHERE aged.created_at < now() - make_interval(days => %(days)s)
    ORDER BY aged.created_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
