-- Read the contact of an account.
-- Returns: one row, or none.
SELECT email, locale, time_zone, country, updated_at
FROM account_contacts
WHERE account_id = %(account_id)s
