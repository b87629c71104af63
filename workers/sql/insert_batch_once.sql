-- Write down a batch, unless its idempotency key led to one before.
-- Returns: one row if it is new.
-- Raises:  generation_batches_account   there is no such account
INSERT INTO generation_batches (
    id, account_id, created_at, total, request_id, idempotency_sha256, request_sha256
)
VALUES (
    %(id)s, %(account_id)s, %(created_at)s, %(total)s, %(request_id)s, %(idempotency_sha256)s, %(request_sha256)s
)
ON CONFLICT (account_id, idempotency_sha256) WHERE idempotency_sha256 IS NOT NULL DO NOTHING
RETURNING generation_batches.id
