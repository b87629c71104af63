-- Read what an account buys by itself, and keep others from deciding about it meanwhile.
-- Returns: at most one row, as `AutoTopUp` reads it.
SELECT
    auto_top_ups.account_id, auto_top_ups.threshold, auto_top_ups.target, auto_top_ups.pack, auto_top_ups.region,
    auto_top_ups.gateway, auto_top_ups.cap_minor, auto_top_ups.cap_currency, auto_top_ups.enabled,
    auto_top_ups.suspended_at, auto_top_ups.in_flight, auto_top_ups.last_number, auto_top_ups.declines,
    auto_top_ups.due_at, account_contacts.time_zone, account_contacts.locale, saved_methods.customer_id,
    saved_methods.method_id, saved_methods.label
FROM auto_top_ups
LEFT JOIN account_contacts ON auto_top_ups.account_id = account_contacts.account_id
LEFT JOIN saved_methods
    ON auto_top_ups.account_id = saved_methods.account_id AND auto_top_ups.gateway = saved_methods.gateway
WHERE auto_top_ups.account_id = %(account_id)s
FOR UPDATE OF auto_top_ups
