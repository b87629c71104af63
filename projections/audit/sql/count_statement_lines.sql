-- Count the lines that are kept.
-- Returns: one row.
SELECT count(*)
FROM public.statement_lines
WHERE statement_lines.build = %(build)s
