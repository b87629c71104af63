-- Open a session.
-- Returns: when.
-- Raises:  sessions_account   there is no such account
INSERT INTO sessions (id, account_id, model, title, system)
VALUES (%(id)s, %(account_id)s, %(model)s, %(title)s, %(system)s)
RETURNING created_at
