-- Count the lines in which two builds differ, up to the event that both have.
-- Returns: one row.
WITH both_have AS (
    SELECT min(projection_builds.seq) AS seq FROM projection_builds
    WHERE projection_builds.name = %(name)s
),

old_rows AS (
    SELECT
        statement_lines.account_id, statement_lines.version, statement_lines.seq, statement_lines.kind,
        statement_lines.amount, statement_lines.available_change, statement_lines.frozen_change,
        statement_lines.available_after, statement_lines.frozen_after, statement_lines.recorded_at,
        statement_lines.effective_at, statement_lines.freeze_id, statement_lines.reference,
        statement_lines.reason
    FROM statement_lines
    WHERE statement_lines.build = %(old)s AND statement_lines.seq <= (SELECT both_have.seq FROM both_have)
),

new_rows AS (
    SELECT
        statement_lines.account_id, statement_lines.version, statement_lines.seq, statement_lines.kind,
        statement_lines.amount, statement_lines.available_change, statement_lines.frozen_change,
        statement_lines.available_after, statement_lines.frozen_after, statement_lines.recorded_at,
        statement_lines.effective_at, statement_lines.freeze_id, statement_lines.reference,
        statement_lines.reason
    FROM statement_lines
    WHERE statement_lines.build = %(new)s AND statement_lines.seq <= (SELECT both_have.seq FROM both_have)
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
