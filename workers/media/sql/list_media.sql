-- Read everyone's media objects, newest first, without those that failed or were deleted.
-- Returns: at most `limit` rows, the columns of read_media.sql.
SELECT
    media_objects.id, media_objects.account_id, media_objects.generation_id, media_objects.ordinal,
    media_objects.purpose, media_objects.kind, media_objects.media_type, media_objects.size_bytes, media_objects.sha256,
    media_objects.width, media_objects.height, media_objects.duration_ms, media_objects.storage_key, media_objects.state,
    media_objects.source_url, media_objects.created_at, media_objects.offered_until, media_objects.expires_at,
    media_objects.deleted_at
FROM media_objects
WHERE
    media_objects.state IN ('awaiting_upload', 'offered', 'stored')
    AND (%(before_id)s::uuid IS NULL OR media_objects.id < %(before_id)s)
ORDER BY media_objects.id DESC
LIMIT %(limit)s
