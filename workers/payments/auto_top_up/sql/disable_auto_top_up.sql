-- Let an account buy nothing by itself any more; an attempt in flight is still seen to. Doing so again changes nothing.
-- Returns: nothing.
UPDATE auto_top_ups
SET
    enabled = false,
    due_at = CASE WHEN auto_top_ups.in_flight THEN auto_top_ups.due_at END,
    updated_at = now()
WHERE auto_top_ups.account_id = %(account_id)s AND auto_top_ups.enabled
