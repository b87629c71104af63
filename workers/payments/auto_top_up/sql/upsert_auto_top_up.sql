-- Say what an account is to buy by itself. It is on from now, whatever was before; an attempt in flight goes on as it is.
-- Returns: nothing.
-- Raises:  auto_top_ups_account   there is no such account
INSERT INTO auto_top_ups (account_id, threshold, target, pack, region, gateway, cap_minor, cap_currency, due_at)
VALUES (
    %(account_id)s, %(threshold)s, %(target)s, %(pack)s, %(region)s, %(gateway)s, %(cap_minor)s, %(cap_currency)s,
    %(now)s
)
ON CONFLICT ON CONSTRAINT auto_top_ups_account_id DO UPDATE
SET
    threshold = excluded.threshold,
    target = excluded.target,
    pack = excluded.pack,
    region = excluded.region,
    gateway = excluded.gateway,
    cap_minor = excluded.cap_minor,
    cap_currency = excluded.cap_currency,
    due_at = CASE WHEN auto_top_ups.in_flight THEN auto_top_ups.due_at ELSE excluded.due_at END,
    enabled = true,
    suspended_at = NULL,
    declines = 0,
    updated_at = now()
