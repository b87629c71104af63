-- Read the full tiles that a range of leaves completes.
-- Returns: level, index, root and nodes of each that is there.
WITH wanted AS (
    SELECT
        unnest(%(levels)s) AS level,
        unnest(%(firsts)s) AS first,
        unnest(%(beyonds)s) AS beyond
)

SELECT tiles.level, tiles.index, tiles.root, tiles.nodes
FROM tiles
INNER JOIN wanted ON tiles.level = wanted.level AND tiles.index >= wanted.first AND tiles.index < wanted.beyond
