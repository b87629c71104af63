-- Keep the contact of an account, in place of the one it had.
-- Returns: when.
-- Raises:  account_contacts_account   there is no such account
INSERT INTO account_contacts (account_id, email, locale, time_zone, country)
VALUES (%(account_id)s, %(email)s, %(locale)s, %(time_zone)s, %(country)s)
ON CONFLICT (account_id) DO UPDATE SET
    email = excluded.email,
    locale = excluded.locale,
    time_zone = excluded.time_zone,
    country = excluded.country,
    updated_at = now()
RETURNING updated_at
