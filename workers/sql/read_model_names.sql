-- Tell which of these models there are.
-- Returns: one row each.
SELECT models.name
FROM models
WHERE models.name = ANY(%(names)s)
