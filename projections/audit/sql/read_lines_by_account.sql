-- Read the lines of a build of the journal, for accounts in a range of ids, in the order of accounts, events and lines.
-- Returns: one row per line: the account, and the fields of `WrittenLine`; days are days since 1970-01-01.
SELECT
    journal_lines.account_id, journal_lines.seq, journal_lines.line::bigint, journal_lines.account_id AS of_account,
    journal_lines.version, journal_lines.booked_on - date '1970-01-01' AS booked_day, journal_lines.debit,
    journal_lines.credit, journal_lines.commodity, journal_lines.amount, journal_lines.lot
FROM journal_lines
WHERE
    journal_lines.build = %(build)s
    AND journal_lines.account_id >= %(first)s AND journal_lines.account_id <= %(last)s
ORDER BY journal_lines.account_id, journal_lines.seq, journal_lines.line
