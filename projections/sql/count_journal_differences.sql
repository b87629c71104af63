-- Count the lines in which two builds differ, up to the event that both have.
-- Returns: one row.
WITH both_have AS (
    SELECT min(projection_builds.seq) AS seq FROM projection_builds
    WHERE projection_builds.name = %(name)s
),

old_rows AS (
    SELECT
        journal_lines.seq, journal_lines.line, journal_lines.account_id, journal_lines.version,
        journal_lines.booked_on, journal_lines.debit, journal_lines.credit, journal_lines.commodity,
        journal_lines.amount, journal_lines.lot
    FROM journal_lines
    WHERE journal_lines.build = %(old)s AND journal_lines.seq <= (SELECT both_have.seq FROM both_have)
),

new_rows AS (
    SELECT
        journal_lines.seq, journal_lines.line, journal_lines.account_id, journal_lines.version,
        journal_lines.booked_on, journal_lines.debit, journal_lines.credit, journal_lines.commodity,
        journal_lines.amount, journal_lines.lot
    FROM journal_lines
    WHERE journal_lines.build = %(new)s AND journal_lines.seq <= (SELECT both_have.seq FROM both_have)
),

differences AS (
    (
        SELECT * FROM old_rows
        EXCEPT ALL
        SELECT * FROM new_rows
    )
    UNION ALL
    (
        SELECT * FROM new_rows
        EXCEPT ALL
        SELECT * FROM old_rows
    )
)

SELECT count(*) FROM differences
