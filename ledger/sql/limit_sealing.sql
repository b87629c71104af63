-- Let go of a sealer that stops in the middle of its transaction: another waits for its rows.
-- Returns: nothing.
SET LOCAL idle_in_transaction_session_timeout = '5s'
