-- Find the account of an owner.
-- Returns: its id, or none.
SELECT account_owners.account_id
FROM account_owners
WHERE account_owners.owner = %(owner)s
