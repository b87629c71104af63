-- Count the tiles of the lowest level, which are there without gaps.
-- Returns: their number.
SELECT coalesce(max(tiles.index) + 1, 0)
FROM tiles
WHERE tiles.level = 0
