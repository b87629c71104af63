-- List keys, newest first, from below `before` on.
-- Returns: up to `limit` rows.
SELECT api_keys.id, api_keys.account_id, api_keys.role, api_keys.name, api_keys.created_at, api_keys.revoked_at
FROM api_keys
WHERE api_keys.id < %(before)s
ORDER BY api_keys.id DESC
LIMIT %(limit)s
