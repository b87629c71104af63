-- List webhooks in the order in which they came.
-- Returns: what `ShownWebhook` has, of at most `limit` after the id `after`.
SELECT
    payment_inbox.id, payment_inbox.state, payment_inbox.gateway, payment_inbox.kind, payment_inbox.object_id,
    payment_inbox.event_id, payment_inbox.request_id, payment_inbox.tries, payment_inbox.received_at, payment_inbox.due_at,
    payment_inbox.processed_at, payment_inbox.last_error
FROM payment_inbox
WHERE payment_inbox.state = ANY(%(states)s::smallint[]) AND payment_inbox.id > %(after)s
ORDER BY payment_inbox.id
LIMIT %(limit)s
