-- Record what a claimed request was answered, in the transaction that claimed it.
-- Returns: nothing.
UPDATE idempotent_requests
SET status = %(status)s, is_encrypted = %(is_encrypted)s, body = %(body)s
WHERE
    idempotent_requests.principal = %(principal)s
    AND idempotent_requests.idempotency_key = %(idempotency_key)s
