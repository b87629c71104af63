-- Give an owner an account id, for ever; an owner who has one keeps it.
-- Returns: nothing.
INSERT INTO account_owners (owner, account_id)
VALUES (%(owner)s, %(account_id)s)
ON CONFLICT (owner) DO NOTHING
