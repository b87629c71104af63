-- Record that the bytes of a media object are gone.
-- Returns: nothing.
UPDATE media_objects SET purged_at = now()
WHERE id = %(id)s AND account_id = %(account_id)s
