-- Delete media objects whose time is over; their bytes follow.
-- Returns: one id for each, at most `limit`.
UPDATE media_objects SET
    state = 'deleted',
    deleted_at = now(),
    purge_at = greatest(now(), media_objects.put_until + %(late)s::interval)
FROM (
    SELECT
        due.id,
        due.account_id
    FROM media_objects AS due
    WHERE due.state = 'stored' AND due.expires_at <= now()
    ORDER BY due.expires_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) AS due
WHERE media_objects.id = due.id AND media_objects.account_id = due.account_id
RETURNING media_objects.id
