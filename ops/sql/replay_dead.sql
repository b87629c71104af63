-- Have all webhooks that were given up processed as if they had just come.
-- Returns: their ids.
UPDATE payment_inbox
SET state = 0, tries = 0, due_at = clock_timestamp()
WHERE payment_inbox.state = 2
RETURNING payment_inbox.id
