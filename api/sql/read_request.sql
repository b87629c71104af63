-- Read the recorded answer of a request.
-- Returns: one row, if there is one.
SELECT
    idempotent_requests.request_sha256, idempotent_requests.status, idempotent_requests.is_encrypted,
    idempotent_requests.body
FROM idempotent_requests
WHERE
    idempotent_requests.principal = %(principal)s
    AND idempotent_requests.idempotency_key = %(idempotency_key)s
