-- Give up on a media object whose bytes did not come, or are not what they were to be.
-- Returns: nothing.
UPDATE media_objects SET
    state = 'failed',
    source_url = NULL,
    purge_at = greatest(now(), put_until) + %(late)s::interval
WHERE
    id = %(id)s
    AND account_id = %(account_id)s
    AND state IN ('awaiting_upload', 'offered')
