-- Make the database. It cannot run inside a transaction.
-- Returns: nothing.
-- Raises:  duplicate_database   it is there already
CREATE DATABASE holdfast OWNER holdfast_owner;
