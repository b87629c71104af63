-- What was booked in each month, between which accounts.
-- Returns: one row per month, pair of accounts and commodity; a month is named by its first day.
SELECT
    date_trunc('month', journal_lines.booked_on)::date AS month,
    journal_lines.debit, journal_lines.credit, journal_lines.commodity, sum(journal_lines.amount)
FROM journal_lines
WHERE journal_lines.build = %(build)s AND journal_lines.seq <= %(seq)s
GROUP BY month, journal_lines.debit, journal_lines.credit, journal_lines.commodity
ORDER BY month
