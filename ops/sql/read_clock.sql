-- Read the clock of the server, not of the transaction.
-- Returns: one row with the time.
SELECT clock_timestamp() AS now
