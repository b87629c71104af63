-- Read which attempt of each generation runs, or ended it.
-- Returns: one row per generation that is not in the queue.
SELECT generations.id, generations.attempt
FROM generations
WHERE generations.id = ANY(%(ids)s) AND generations.status > 0
