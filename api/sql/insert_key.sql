-- Record a new API key; only the digest of its secret is kept.
-- Returns: when it was created.
-- Raises:  api_keys_user_account   a user's key without an account, or another role's key with one
INSERT INTO api_keys (id, account_id, role, name, created_by, secret_sha256)
VALUES (%(id)s, %(account_id)s, %(role)s, %(name)s, %(created_by)s, %(secret_sha256)s)
RETURNING created_at
