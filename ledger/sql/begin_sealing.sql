-- See one moment of the database in all statements of this transaction, which this is the first of.
-- Returns: nothing.
SET LOCAL transaction_isolation = 'repeatable read'
