-- Find the batch that an idempotency key of this account led to.
-- Returns: at most one row: its id, when it was made, and the digest of what was asked for.
SELECT generation_batches.id, generation_batches.created_at, generation_batches.request_sha256
FROM generation_batches
WHERE
    generation_batches.account_id = %(account_id)s
    AND generation_batches.idempotency_sha256 = %(idempotency_sha256)s
