-- The journal of the first events with what the events say, in the sealed order.
-- Returns: one row per line.
SELECT
    journal_lines.seq, journal_lines.booked_on, journal_lines.account_id, journal_lines.version, events.kind,
    journal_lines.debit, journal_lines.credit, journal_lines.commodity, journal_lines.amount, journal_lines.lot,
    coalesce(body.reference, body.reason, '') AS about
FROM journal_lines
INNER JOIN events
    ON journal_lines.account_id = events.account_id AND journal_lines.version = events.version
CROSS JOIN LATERAL json_to_record(convert_from(events.body, 'UTF8')::json) AS body (reference text, reason text)
WHERE journal_lines.build = %(build)s AND journal_lines.seq <= %(seq)s
ORDER BY journal_lines.seq, journal_lines.line
