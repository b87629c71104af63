-- Delete a media object for its owner; its bytes follow.
-- Returns: nothing; one that was deleted or had failed before stays as it is.
UPDATE media_objects SET
    state = 'deleted',
    deleted_at = now(),
    source_url = NULL,
    purge_at = CASE
        WHEN state = 'stored' THEN greatest(now(), put_until + %(late)s::interval)
        ELSE greatest(now(), put_until) + %(late)s::interval
    END
WHERE
    id = %(id)s
    AND account_id = %(account_id)s
    AND state IN ('awaiting_upload', 'offered', 'stored')
