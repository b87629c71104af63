-- Make the owner of the tables and the application's role, where they are missing, with just the rights they need.
-- The owner may make databases and end the sessions in them (tests, restores) and is no superuser. The application's
-- role is given its rights table by table, by the migrations.
-- Returns: nothing. A second run changes nothing.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'holdfast_owner') THEN
        CREATE ROLE holdfast_owner LOGIN CREATEDB CREATEROLE;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'holdfast_app') THEN
        CREATE ROLE holdfast_app LOGIN;
    END IF;
    GRANT pg_monitor, pg_signal_backend TO holdfast_owner;
    GRANT holdfast_app TO holdfast_owner WITH INHERIT FALSE, SET TRUE;
END
$$;
