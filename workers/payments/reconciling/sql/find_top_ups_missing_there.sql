-- Find the top-ups of the window that are under the key of a payment which neither we nor the gateway know.
-- Returns: nothing; the number of rows is how many there are.
INSERT INTO reconciling_ours (is_refund, id, payment_id, account_id, at, credits, detail)
SELECT
    false AS is_refund, top_ups.payment_id AS id, top_ups.payment_id, top_ups.account_id, top_ups.recorded_at, top_ups.amount,
    'unnoted' AS detail
FROM (
    SELECT
        substr(events.command_key, length(%(first_key)s::text) + 1) AS payment_id, events.account_id, events.recorded_at,
        events.amount
    FROM events
    WHERE
        events.kind = 2
        AND events.command_key >= %(first_key)s::text
        AND events.command_key < %(last_key)s::text
        AND events.recorded_at >= %(since)s
        AND events.recorded_at < %(until)s
) AS top_ups
LEFT JOIN payments ON payments.gateway = %(gateway)s AND top_ups.payment_id = payments.payment_id
LEFT JOIN reconciling_theirs AS theirs ON NOT theirs.is_refund AND top_ups.payment_id = theirs.id
WHERE payments.payment_id IS NULL AND theirs.id IS NULL
ORDER BY top_ups.recorded_at, top_ups.payment_id;
