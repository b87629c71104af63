-- Let this transaction's statements take the time they need: they sum the whole journal.
-- Returns: nothing.
SET LOCAL statement_timeout = 0
