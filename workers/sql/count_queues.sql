-- Count what waits by tier and provider, and what runs.
-- Returns: one row each: 'waiting' or 'running', tier, provider, how many.
SELECT
    'waiting' AS state, outbox.tier, outbox.provider, count(*)
FROM outbox
GROUP BY outbox.tier, outbox.provider
UNION ALL
SELECT
    'running' AS state, generations.tier, generations.provider, count(*)
FROM generations
WHERE generations.status = 1
GROUP BY generations.tier, generations.provider
