-- The journal of the first events, as CSV with a header: each line takes an amount from one account to another.
-- Returns: a stream of CSV.
COPY (
    SELECT
        journal_lines.seq, journal_lines.line, journal_lines.booked_on, journal_lines.account_id,
        journal_lines.version, debited.name AS debit, credited.name AS credit, journal_lines.commodity,
        (journal_lines.amount * 0.000001)::numeric(24, 6) AS amount,
        nullif(journal_lines.lot, 0) AS lot
    FROM journal_lines
    INNER JOIN ledger_accounts AS debited ON journal_lines.debit = debited.number
    INNER JOIN ledger_accounts AS credited ON journal_lines.credit = credited.number
    WHERE journal_lines.build = %(build)s AND journal_lines.seq <= %(seq)s
    ORDER BY journal_lines.seq, journal_lines.line
) TO STDOUT (FORMAT csv, HEADER true)
