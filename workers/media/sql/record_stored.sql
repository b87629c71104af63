-- Record that the bytes are there, and what they are. Whoever comes second changes nothing.
-- Returns: the columns of read_media.sql, or nothing if it was not waiting for its bytes.
UPDATE media_objects SET
    state = 'stored',
    stored_at = now(),
    media_type = %(media_type)s,
    kind = %(kind)s,
    size_bytes = %(size_bytes)s,
    sha256 = %(sha256)s,
    width = coalesce(%(width)s, width),
    height = coalesce(%(height)s, height),
    duration_ms = coalesce(%(duration_ms)s, duration_ms),
    source_url = NULL
WHERE
    id = %(id)s
    AND account_id = %(account_id)s
    AND state IN ('awaiting_upload', 'offered')
RETURNING
    media_objects.id, media_objects.account_id, media_objects.generation_id, media_objects.ordinal,
    media_objects.purpose, media_objects.kind, media_objects.media_type, media_objects.size_bytes, media_objects.sha256,
    media_objects.width, media_objects.height, media_objects.duration_ms, media_objects.storage_key, media_objects.state,
    media_objects.source_url, media_objects.created_at, media_objects.offered_until, media_objects.expires_at,
    media_objects.deleted_at
