-- Read the right edge of the tree above its leaves: roots of tiles, from the first to before the end, per level.
-- Returns: one row per level, lowest first: the roots one after the other.
SELECT
    coalesce(
        (
            SELECT string_agg(tiles.root, ''::bytea ORDER BY tiles.index)
            FROM tiles
            WHERE tiles.level = wanted.level AND tiles.index >= wanted.first AND tiles.index < wanted.beyond
        ), ''::bytea
    )
FROM (
    SELECT
        unnest(%(levels)s) AS level,
        unnest(%(firsts)s) AS first,
        unnest(%(beyonds)s) AS beyond
) AS wanted
ORDER BY wanted.level
