-- Forget the contact of an account.
-- Returns: nothing.
DELETE FROM account_contacts
WHERE account_id = %(account_id)s
