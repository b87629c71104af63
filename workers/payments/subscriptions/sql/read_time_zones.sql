-- Read the time zones of accounts whose owners said theirs.
-- Returns: the id and the name of the zone of each.
SELECT
    account_contacts.account_id, account_contacts.time_zone
FROM account_contacts
WHERE account_contacts.account_id = ANY(%(account_ids)s)
