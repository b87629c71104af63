-- Record an upload that is to come.
-- Returns: the columns of read_media.sql.
-- Raises:  media_objects_account   there is no such account
INSERT INTO media_objects (
    id, account_id, purpose, kind, media_type, size_bytes, sha256, storage_key, state, put_until, expires_at
)
VALUES (
    %(id)s, %(account_id)s, 'upload', %(kind)s, %(media_type)s, %(size_bytes)s, %(sha256)s, %(storage_key)s,
    'awaiting_upload', %(put_until)s, %(expires_at)s
)
RETURNING
    media_objects.id, media_objects.account_id, media_objects.generation_id, media_objects.ordinal,
    media_objects.purpose, media_objects.kind, media_objects.media_type, media_objects.size_bytes, media_objects.sha256,
    media_objects.width, media_objects.height, media_objects.duration_ms, media_objects.storage_key, media_objects.state,
    media_objects.source_url, media_objects.created_at, media_objects.offered_until, media_objects.expires_at,
    media_objects.deleted_at
