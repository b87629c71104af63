-- Note that these are processed.
-- Returns: nothing.
UPDATE payment_inbox
SET state = 1, processed_at = clock_timestamp(), last_error = NULL
WHERE payment_inbox.id = ANY(%(ids)s::bigint[]) AND payment_inbox.state = 0
