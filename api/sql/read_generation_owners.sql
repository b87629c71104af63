-- Find out whose generations these are.
-- Returns: one row per generation that exists.
SELECT generations.id, generations.account_id
FROM generations
WHERE generations.id = ANY(%(ids)s)
