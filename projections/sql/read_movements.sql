-- Sum the journal over what was booked up to and on a day by the first events.
-- Returns: one row per pair of accounts and commodity between which something went.
SELECT journal_lines.debit, journal_lines.credit, journal_lines.commodity, sum(journal_lines.amount) AS amount
FROM journal_lines
WHERE
    journal_lines.build = %(build)s
    AND journal_lines.seq <= %(seq)s
    AND journal_lines.booked_on <= %(through)s::date
GROUP BY journal_lines.debit, journal_lines.credit, journal_lines.commodity
