-- Take accounts that have to buy something, or were about to, for as long as a lease.
-- Returns: one row each.
UPDATE auto_top_ups
SET due_at = %(leased_until)s
FROM (
    SELECT due.account_id
    FROM auto_top_ups AS due
    INNER JOIN accounts ON due.account_id = accounts.id
    WHERE due.due_at <= %(now)s AND (due.in_flight OR accounts.available < due.threshold)
    ORDER BY due.due_at
    LIMIT %(limit)s
    FOR UPDATE OF due SKIP LOCKED
) AS taken
WHERE auto_top_ups.account_id = taken.account_id
RETURNING auto_top_ups.account_id
