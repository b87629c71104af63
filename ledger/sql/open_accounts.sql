-- Make room for accounts that are about to be opened, so that they can be locked like any other. Nothing has happened
-- to them yet, so that the time of their first event is the writer's alone.
-- Returns: nothing; an account that exists is left alone.
INSERT INTO accounts (id, owner, name, updated_at, created_at)
SELECT opening.id, opening.owner, opening.name, 'epoch', now()
FROM (
    SELECT
        unnest(%(ids)s) AS id,
        unnest(%(owners)s) AS owner,
        unnest(%(names)s) AS name
) AS opening
ORDER BY opening.id
ON CONFLICT (id) DO NOTHING
