-- Read keys for authentication, revoked ones too.
-- Returns: one row per key that exists.
SELECT api_keys.id, api_keys.secret_sha256, api_keys.role, api_keys.account_id, api_keys.revoked_at IS NOT NULL
FROM api_keys
WHERE api_keys.id = ANY(%(ids)s)
