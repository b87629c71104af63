-- Compare what accounts hold in a build of the journal with what their last event in it says they have.
-- Returns: one row: how far the build is, and how many accounts differ.
WITH extent AS (
    SELECT projection_builds.seq FROM projection_builds
    WHERE projection_builds.name = 'journal' AND projection_builds.build = %(build)s
),

entered AS (
    SELECT
        journal_lines.account_id,
        sum(CASE
            WHEN journal_lines.credit IN (9100, 9200) AND journal_lines.debit IN (9100, 9200) THEN 0
            WHEN journal_lines.credit IN (9100, 9200) THEN journal_lines.amount
            WHEN journal_lines.debit IN (9100, 9200) THEN -journal_lines.amount
            ELSE 0
        END) AS has
    FROM journal_lines
    WHERE journal_lines.build = %(build)s AND journal_lines.commodity = 'CREDIT'
    GROUP BY journal_lines.account_id
),

recorded AS (
    SELECT DISTINCT ON (events.account_id)
        events.account_id, events.available_after + events.frozen_after AS has
    FROM events
    INNER JOIN sealed ON events.position = sealed.position
    WHERE sealed.seq <= (SELECT extent.seq FROM extent)
    ORDER BY events.account_id ASC, events.version DESC
)

SELECT
    (SELECT extent.seq FROM extent) AS seq,
    count(*) FILTER (WHERE coalesce(entered.has, 0) <> coalesce(recorded.has, 0)) AS accounts
FROM recorded
FULL JOIN entered ON recorded.account_id = entered.account_id
