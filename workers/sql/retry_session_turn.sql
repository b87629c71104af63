-- Await the answer of a retry in the session of the original, unless something was said there since.
-- Returns: nothing.
UPDATE sessions
SET generation_id = %(generation_id)s, last_generation_id = %(generation_id)s, updated_at = now()
WHERE
    sessions.account_id = %(account_id)s
    AND sessions.last_generation_id = %(retry_of)s
