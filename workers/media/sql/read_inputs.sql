-- Read those of an account's media objects that a generation refers to.
-- Returns: the columns of read_media.sql; what is not there, or not this account's, is left out.
SELECT
    media_objects.id, media_objects.account_id, media_objects.generation_id, media_objects.ordinal,
    media_objects.purpose, media_objects.kind, media_objects.media_type, media_objects.size_bytes, media_objects.sha256,
    media_objects.width, media_objects.height, media_objects.duration_ms, media_objects.storage_key, media_objects.state,
    media_objects.source_url, media_objects.created_at, media_objects.offered_until, media_objects.expires_at,
    media_objects.deleted_at
FROM media_objects
WHERE
    media_objects.account_id = %(account_id)s
    AND media_objects.id = ANY(%(ids)s)
