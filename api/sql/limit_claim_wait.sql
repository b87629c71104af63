-- Bound how long a repeated request waits for the original, within this transaction.
-- Returns: nothing that matters.
SELECT set_config('lock_timeout', '3s', true)
