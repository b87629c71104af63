-- Read the lines of a build of the statements, for accounts in a range of ids, in the order of accounts and versions.
-- Returns: one row per block of lines.
SELECT
    statement_blocks.account_id, statement_blocks.first_version, statement_blocks.seqs,
    statement_blocks.available_changes, statement_blocks.frozen_changes
FROM statement_blocks
WHERE
    statement_blocks.build = %(build)s
    AND statement_blocks.account_id >= %(first)s AND statement_blocks.account_id <= %(last)s
ORDER BY statement_blocks.account_id, statement_blocks.first_version
