-- Find the events that these commands of an account led to.
-- Returns: command key and version of each that there is.
SELECT events.command_key, events.version
FROM events
WHERE events.account_id = %(account_id)s AND events.command_key = ANY(%(command_keys)s::text[])
