-- Note which balances fell below their threshold, or rose above it, since they were seen last. Nothing older than what was
-- seen counts, whatever this statement still sees of an account. One that is below, and was above in between, fell again.
-- Returns: one row for each that was seen to; with `fell`, its owner has to be told.
UPDATE low_balances
SET
    is_below = seen.available < seen.threshold,
    seen_version = seen.version,
    seen_at = clock_timestamp(),
    told_at = CASE WHEN seen.fell THEN now() ELSE low_balances.told_at END
FROM (
    SELECT
        looked_at.account_id, looked_at.threshold, accounts.version, accounts.available,
        accounts.available < looked_at.threshold AND (
            NOT looked_at.is_below
            OR EXISTS (
                SELECT FROM events
                WHERE
                    events.account_id = looked_at.account_id
                    AND events.version > looked_at.seen_version
                    AND events.version <= accounts.version
                    AND events.available_after >= looked_at.threshold
            )
        ) AS fell
    FROM low_balances AS looked_at
    INNER JOIN accounts ON looked_at.account_id = accounts.id
    WHERE
        accounts.version > looked_at.seen_version
        AND (looked_at.is_below OR accounts.available < looked_at.threshold)
    ORDER BY looked_at.seen_at
    LIMIT %(limit)s
    FOR UPDATE OF looked_at SKIP LOCKED
) AS seen
WHERE low_balances.account_id = seen.account_id
RETURNING low_balances.account_id, seen.threshold, seen.available, seen.version, seen.fell
