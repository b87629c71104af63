-- Make an empty table that hides the one of the statements from this session until the transaction ends.
-- Returns: nothing.
CREATE TEMPORARY TABLE statement_lines (LIKE public.statement_lines) ON COMMIT DROP
