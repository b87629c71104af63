-- Read which attempt of each generation runs now.
-- Returns: one row per generation that is running.
SELECT generations.id, generations.attempt
FROM generations
WHERE generations.id = ANY(%(ids)s) AND generations.status = 1
