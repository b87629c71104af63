-- Which build of a projection is read.
-- Returns: one row, or none if there is no such projection.
SELECT projections.active FROM projections
WHERE projections.name = %(name)s
