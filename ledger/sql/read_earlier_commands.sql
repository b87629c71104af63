-- Find which commands of a batch were recorded before, after their accounts are locked.
-- Returns: the event of each that was.
SELECT
    events.account_id, events.version, events.kind, events.amount, events.available_after, events.frozen_after,
    events.recorded_at, events.command_key, events.request_digest, events.body, events.hash
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(command_keys)s) AS command_key
) AS wanted
INNER JOIN events
    ON
        wanted.account_id = events.account_id
        AND hashtextextended(wanted.command_key, 0) = hashtextextended(events.command_key, 0)
        AND hashtextextended(wanted.command_key, 1) = hashtextextended(events.command_key, 1)
        AND wanted.command_key = events.command_key
