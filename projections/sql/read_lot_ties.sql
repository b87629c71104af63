-- Compare the lots of the journal with its lines: the credits held and the money carried for them, after the first events.
-- A lot that was paid for carries its payment times its credits held over its credits, rounded to its unit, halves up.
-- Returns: one row: how many lots there are, how many differ in credits, how many in money.
WITH carried AS (
    SELECT
        journal_lines.account_id, journal_lines.lot,
        sum(CASE
            WHEN journal_lines.credit = 9200 THEN journal_lines.amount
            WHEN journal_lines.debit = 9200 THEN -journal_lines.amount
        END) AS held,
        sum(CASE
            WHEN journal_lines.credit = 2000 THEN journal_lines.amount
            WHEN journal_lines.debit = 2000 THEN -journal_lines.amount
        END) AS money
    FROM journal_lines
    WHERE
        journal_lines.build = %(build)s AND journal_lines.seq <= %(seq)s AND journal_lines.lot > 0
        AND (journal_lines.debit IN (2000, 9200) OR journal_lines.credit IN (2000, 9200))
    GROUP BY journal_lines.account_id, journal_lines.lot
),

compared AS (
    SELECT
        coalesce(carried.held, 0) NOT BETWEEN 0 AND journal_lots.amount AS is_impossible,
        coalesce(carried.held, 0) AS held,
        coalesce(carried.money, 0) AS money,
        CASE
            WHEN journal_lots.is_bought
                THEN div(
                    2 * div(journal_lots.paid, journal_lots.unit) * coalesce(carried.held, 0) + journal_lots.amount,
                    2 * journal_lots.amount::numeric
                ) * journal_lots.unit
            ELSE 0
        END AS expected_money,
        CASE
            WHEN projection_builds.seq = %(seq)s THEN journal_lots.held ELSE coalesce(carried.held, 0)
        END AS expected_held
    FROM journal_lots
    INNER JOIN projection_builds
        ON projection_builds.name = 'journal' AND journal_lots.build = projection_builds.build
    LEFT JOIN carried
        ON journal_lots.account_id = carried.account_id AND journal_lots.number = carried.lot
    WHERE
        journal_lots.build = %(build)s
        AND (carried.account_id IS NOT NULL OR projection_builds.seq = %(seq)s)
)

SELECT
    count(*) AS lots,
    count(*) FILTER (WHERE compared.is_impossible OR compared.held <> compared.expected_held) AS credits_differ,
    count(*) FILTER (WHERE compared.money <> compared.expected_money) AS money_differs
FROM compared
