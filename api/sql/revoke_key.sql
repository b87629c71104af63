-- Revoke a key; a key that is revoked already keeps its time.
-- Returns: one row if the key exists.
UPDATE api_keys SET revoked_at = coalesce(api_keys.revoked_at, now())
WHERE api_keys.id = %(id)s
RETURNING api_keys.id
