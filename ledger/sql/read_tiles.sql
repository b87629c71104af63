-- Read tiles of the tree.
-- Returns: level, index and nodes of each that is there.
SELECT tiles.level, tiles.index, tiles.nodes
FROM (
    SELECT
        unnest(%(levels)s) AS level,
        unnest(%(indexes)s) AS index
) AS wanted
INNER JOIN tiles ON wanted.level = tiles.level AND wanted.index = tiles.index
