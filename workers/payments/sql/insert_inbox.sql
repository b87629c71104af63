-- Keep a verified webhook.
-- Returns: one row if it is new.
INSERT INTO payment_inbox (gateway, event_id, kind, object_id, request_id, headers, body)
VALUES (
    %(gateway)s, %(event_id)s, %(kind)s, %(object_id)s, %(request_id)s, %(headers)s::text::jsonb, %(body)s
)
ON CONFLICT ON CONSTRAINT payment_inbox_once DO NOTHING
RETURNING payment_inbox.id
