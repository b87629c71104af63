-- Keep the builds of the journal from being emptied until the end of the transaction; before its snapshot is taken.
-- Returns: nothing.
LOCK TABLE journal_lines IN ACCESS SHARE MODE
