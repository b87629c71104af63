-- Read which of these media objects of an account are there to be looked at again.
-- Returns: one row for each that is stored.
SELECT media_objects.id, media_objects.kind, media_objects.size_bytes
FROM media_objects
WHERE
    media_objects.account_id = %(account_id)s
    AND media_objects.id = ANY(%(ids)s)
    AND media_objects.state = 'stored'
