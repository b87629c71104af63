-- Record a result of a generation, or find the row of an earlier attempt. What is not stored yet takes the new source;
-- what had failed is offered again.
-- Returns: the columns of read_media.sql; nothing if the row is stored or deleted, and stays as it is.
INSERT INTO media_objects (
    id, account_id, generation_id, ordinal, purpose, kind, media_type, width, height, duration_ms, storage_key, state,
    source_url, offered_until, expires_at
)
VALUES (
    %(id)s, %(account_id)s, %(generation_id)s, %(ordinal)s, 'result', %(kind)s, %(media_type)s, %(width)s, %(height)s,
    %(duration_ms)s, %(storage_key)s, 'offered', %(source_url)s, %(offered_until)s, %(expires_at)s
)
ON CONFLICT (account_id, generation_id, ordinal) DO UPDATE SET
    kind = excluded.kind,
    media_type = excluded.media_type,
    width = excluded.width,
    height = excluded.height,
    duration_ms = excluded.duration_ms,
    state = 'offered',
    source_url = excluded.source_url,
    offered_until = excluded.offered_until,
    expires_at = excluded.expires_at,
    purge_at = NULL,
    purged_at = NULL
WHERE media_objects.state IN ('offered', 'failed')
RETURNING
    media_objects.id, media_objects.account_id, media_objects.generation_id, media_objects.ordinal,
    media_objects.purpose, media_objects.kind, media_objects.media_type, media_objects.size_bytes, media_objects.sha256,
    media_objects.width, media_objects.height, media_objects.duration_ms, media_objects.storage_key, media_objects.state,
    media_objects.source_url, media_objects.created_at, media_objects.offered_until, media_objects.expires_at,
    media_objects.deleted_at
