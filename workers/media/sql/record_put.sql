-- Record until when a client may begin to send an offered result.
-- Returns: its id, or nothing if it is not offered any more.
UPDATE media_objects SET put_until = greatest(put_until, %(put_until)s)
WHERE
    id = %(id)s
    AND account_id = %(account_id)s
    AND state = 'offered'
RETURNING id
