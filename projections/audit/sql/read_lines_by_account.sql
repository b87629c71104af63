-- Read the lines of a build of the journal, for accounts in a range of ids, in the order of accounts, events and lines.
-- Returns: one row per line: where it is, of which version, on which day since 1970-01-01, and the fields of `Line`.
SELECT
    journal_lines.account_id, journal_lines.seq, journal_lines.line, journal_lines.version,
    journal_lines.booked_on - date '1970-01-01' AS booked_day, journal_lines.debit, journal_lines.credit,
    journal_lines.commodity, journal_lines.amount, journal_lines.lot
FROM journal_lines
WHERE
    journal_lines.build = %(build)s
    AND journal_lines.account_id >= %(first)s AND journal_lines.account_id <= %(last)s
ORDER BY journal_lines.account_id, journal_lines.seq, journal_lines.line
