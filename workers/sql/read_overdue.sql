-- Read generations that no worker took up before their time was over.
-- Returns: one row each, with what ending them needs.
SELECT
    generations.id, generations.account_id, generations.attempt, generations.model, generations.price_version,
    generations.frozen, generations.cancel_requested_at IS NOT NULL, generations.created_at, generations.input_length
FROM outbox
INNER JOIN generations
    ON outbox.generation_id = generations.id AND outbox.account_id = generations.account_id
WHERE generations.status = 0 AND generations.deadline_at < clock_timestamp()
ORDER BY generations.id
LIMIT %(limit)s
