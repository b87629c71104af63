-- Have a message sent. It goes only once under a key of an account.
-- Returns: nothing.
INSERT INTO messages (account_id, key, kind, values)
VALUES (%(account_id)s, %(key)s, %(kind)s, %(values)s::jsonb)
ON CONFLICT (account_id, key) DO NOTHING
