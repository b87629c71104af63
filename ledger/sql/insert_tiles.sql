-- Keep tiles of the tree that became full.
-- Returns: nothing.
-- Raises:  tiles_level_index   another sealer was first
INSERT INTO tiles (level, index, root, nodes)
SELECT new.level, new.index, new.root, new.nodes
FROM (
    SELECT
        unnest(%(levels)s) AS level,
        unnest(%(indexes)s) AS index,
        unnest(%(roots)s) AS root,
        unnest(%(nodes)s) AS nodes
) AS new
