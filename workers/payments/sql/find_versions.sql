-- Find the events that these commands of an account led to.
-- Returns: command key and version of each that there is.
SELECT events.command_key, events.version
FROM unnest(%(command_keys)s::text[]) AS wanted (command_key)
INNER JOIN events
    ON
        events.account_id = %(account_id)s
        AND hashtextextended(wanted.command_key, 0) = hashtextextended(events.command_key, 0)
        AND hashtextextended(wanted.command_key, 1) = hashtextextended(events.command_key, 1)
        AND wanted.command_key = events.command_key
