-- Read the lots of a build of the journal, for accounts in a range of ids, in their order.
-- Returns: one row per lot, in the order of the fields of `JournalLot`.
SELECT
    journal_lots.account_id, journal_lots.number, journal_lots.is_bought, journal_lots.currency, journal_lots.unit,
    journal_lots.paid, journal_lots.amount, journal_lots.held, journal_lots.reversed, journal_lots.expired,
    journal_lots.expired_deferred, journal_lots.expired_recognised
FROM journal_lots
WHERE
    journal_lots.build = %(build)s
    AND journal_lots.account_id >= %(first)s AND journal_lots.account_id <= %(last)s
ORDER BY journal_lots.account_id, journal_lots.number
