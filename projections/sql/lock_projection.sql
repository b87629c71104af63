-- Let no build of a projection begin, and none be switched to, until the end of the transaction.
-- Returns: which build is read.
SELECT projections.active FROM projections
WHERE projections.name = %(name)s
FOR UPDATE
