-- Keep a means of payment, in place of an older one at the same gateway. A name that is known of it is kept.
-- Returns: nothing.
INSERT INTO saved_methods (account_id, gateway, customer_id, method_id, label, saved_at)
VALUES (%(account_id)s, %(gateway)s, %(customer_id)s, %(method_id)s, %(label)s, %(saved_at)s)
ON CONFLICT ON CONSTRAINT saved_methods_once DO UPDATE
SET
    customer_id = excluded.customer_id,
    method_id = excluded.method_id,
    label = CASE
        WHEN excluded.label = '' AND excluded.method_id = saved_methods.method_id THEN saved_methods.label
        ELSE excluded.label
    END,
    saved_at = excluded.saved_at
WHERE saved_methods.saved_at <= excluded.saved_at
