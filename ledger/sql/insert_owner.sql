-- Reserve an account id for an owner.
-- Returns: one row if the owner is new.
INSERT INTO account_owners (owner, account_id)
VALUES (%(owner)s, %(account_id)s)
ON CONFLICT (owner) DO NOTHING
RETURNING account_id
