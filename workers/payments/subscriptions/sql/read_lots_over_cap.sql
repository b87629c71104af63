-- Read the lots of earlier periods of a subscription in which more is left than may go on into the next period.
-- What they were paid with is found by the key of its command, `holdfast:payment:<gateway>:<payment>`.
-- Returns: the number of each lot, and how much of it may go on.
SELECT
    lots.number, periods.rollover_cap
FROM (
    SELECT
        subscription_periods.account_id,
        subscription_periods.rollover_cap,
        'holdfast:payment:' || subscription_periods.gateway || ':' || subscription_periods.payment_id AS command_key
    FROM subscription_periods
    WHERE
        subscription_periods.gateway = %(gateway)s
        AND subscription_periods.subscription_id = %(subscription_id)s
        AND subscription_periods.payment_id <> %(payment_id)s
        AND subscription_periods.ends_at < %(begins_at)s + interval '1 hour'
        AND subscription_periods.rollover_cap > 0
    ORDER BY subscription_periods.begins_at DESC
    LIMIT %(limit)s
) AS periods
INNER JOIN events
    ON
        periods.account_id = events.account_id
        AND hashtextextended(periods.command_key, 0) = hashtextextended(events.command_key, 0)
        AND hashtextextended(periods.command_key, 1) = hashtextextended(events.command_key, 1)
        AND periods.command_key = events.command_key
INNER JOIN lots ON events.account_id = lots.account_id AND events.version = lots.number
WHERE lots.live AND lots.remaining > periods.rollover_cap AND (lots.expires_at IS NULL OR lots.expires_at > now())
ORDER BY lots.number
