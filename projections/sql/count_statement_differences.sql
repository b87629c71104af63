-- Count the lines in which two builds differ, up to the event that both have.
-- Returns: one row.
WITH both_have AS (
    SELECT min(projection_builds.seq) AS seq FROM projection_builds
    WHERE projection_builds.name = %(name)s
),

lines AS (
    SELECT
        statement_blocks.build, statement_blocks.account_id, statement_blocks.first_version, line.place, line.seq,
        line.available_change, line.frozen_change
    FROM statement_blocks
    CROSS JOIN LATERAL unnest(
        statement_blocks.seqs, statement_blocks.available_changes, statement_blocks.frozen_changes
    ) WITH ORDINALITY AS line (seq, available_change, frozen_change, place)
    WHERE
        statement_blocks.build IN (%(old)s, %(new)s)
        AND line.seq <= (SELECT both_have.seq FROM both_have)
)

SELECT count(*) FROM (
    SELECT 1 FROM lines
    GROUP BY
        lines.account_id, lines.first_version, lines.place, lines.seq, lines.available_change, lines.frozen_change
    HAVING count(*) <> 2
) AS differences
