-- Add lines to the journal.
-- Returns: nothing.
-- Raises:  journal_lines_move_something, journal_lines_commodity   a line that is none
INSERT INTO journal_lines (build, seq, line, account_id, version, booked_on, debit, credit, commodity, amount, lot)
SELECT
    %(build)s,
    unnest(%(seqs)s),
    unnest(%(lines)s),
    unnest(%(account_ids)s),
    unnest(%(versions)s),
    date '1970-01-01' + unnest(%(booked_days)s)::integer,
    unnest(%(debits)s),
    unnest(%(credits)s),
    unnest(%(commodities)s),
    unnest(%(amounts)s),
    unnest(%(lots)s)
