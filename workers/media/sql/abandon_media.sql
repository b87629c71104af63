-- Give up on uploads that nobody confirmed in time, and on results that were not kept when their
-- generation ended, or that no worker came back for.
-- Returns: one id for each, at most `limit`.
UPDATE media_objects SET
    state = 'failed',
    source_url = NULL,
    purge_at = greatest(now(), media_objects.put_until) + %(late)s::interval
FROM (
    SELECT
        due.id,
        due.account_id
    FROM media_objects AS due
    WHERE
        due.state IN ('awaiting_upload', 'offered')
        AND (
            due.created_at <= now() - CASE due.state
                WHEN 'offered' THEN %(result_life)s::interval
                ELSE %(upload_life)s::interval
            END
            OR EXISTS (
                SELECT 1
                FROM generations
                WHERE
                    generations.id = due.generation_id
                    AND generations.account_id = due.account_id
                    AND generations.status >= 2
            )
        )
    ORDER BY due.created_at
    LIMIT %(limit)s
    FOR UPDATE OF due SKIP LOCKED
) AS due
WHERE media_objects.id = due.id AND media_objects.account_id = due.account_id
RETURNING media_objects.id
