-- Give back a generation that this attempt will not finish, so that another worker can take it up at once.
-- Returns: one row if this attempt still held it.
WITH released AS (
    UPDATE generations
    SET status = 0, lease_until = NULL, lease_owner = NULL
    WHERE
        generations.id = %(id)s
        AND generations.account_id = %(account_id)s
        AND generations.attempt = %(attempt)s
        AND generations.status = 1
    RETURNING generations.id, generations.account_id, generations.request_id
)

INSERT INTO outbox (generation_id, account_id, due_at, request_id)
SELECT released.id, released.account_id, now(), released.request_id
FROM released
RETURNING outbox.generation_id
