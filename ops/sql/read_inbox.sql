-- Read a webhook as it came.
-- Returns: at most one row: what `ShownWebhook` has, then headers and body.
SELECT
    payment_inbox.id, payment_inbox.state, payment_inbox.gateway, payment_inbox.kind, payment_inbox.object_id,
    payment_inbox.event_id, payment_inbox.request_id, payment_inbox.tries, payment_inbox.received_at, payment_inbox.due_at,
    payment_inbox.processed_at, payment_inbox.last_error, payment_inbox.headers, payment_inbox.body
FROM payment_inbox
WHERE payment_inbox.id = %(id)s
