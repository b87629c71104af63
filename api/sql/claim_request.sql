-- Claim an idempotency key for a request. Waits while another transaction holds the claim.
-- Returns: one row if the claim is ours; none if the key is taken.
INSERT INTO idempotent_requests (principal, idempotency_key, request_sha256)
VALUES (%(principal)s, %(idempotency_key)s, %(request_sha256)s)
ON CONFLICT (principal, idempotency_key) DO NOTHING
RETURNING idempotent_requests.created_at
