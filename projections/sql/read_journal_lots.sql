-- Read lots as the journal knows them.
-- Returns: one row per lot that is known, in the order of the fields of `JournalLot`.
WITH wanted AS (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(numbers)s) AS number
)

SELECT
    journal_lots.account_id, journal_lots.number, journal_lots.is_bought, journal_lots.currency, journal_lots.unit,
    journal_lots.paid, journal_lots.amount, journal_lots.held, journal_lots.reversed, journal_lots.expired,
    journal_lots.expired_deferred, journal_lots.expired_recognised
FROM wanted
INNER JOIN journal_lots
    ON
        journal_lots.build = %(build)s
        AND wanted.account_id = journal_lots.account_id AND wanted.number = journal_lots.number
