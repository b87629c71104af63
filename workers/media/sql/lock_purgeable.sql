-- Take a deleted or failed media object whose bytes have to go now, the one that has waited longest, so that nobody
-- else does and it is not offered anew meanwhile.
-- Returns: id, account and key, or nothing.
SELECT
    id,
    account_id,
    storage_key
FROM media_objects
WHERE purge_at <= now() AND purged_at IS NULL
ORDER BY purge_at
LIMIT 1
FOR UPDATE SKIP LOCKED
