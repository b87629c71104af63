-- Record that a generation is to be cancelled; the first request counts.
-- Returns: its status, attempt and length of input, if it has not ended.
UPDATE generations
SET cancel_requested_at = coalesce(generations.cancel_requested_at, now())
WHERE generations.id = %(id)s AND generations.account_id = %(account_id)s AND generations.status < 2
RETURNING generations.status, generations.attempt, generations.input_length
