-- List every power over recorded events that the current role has and must not have.
-- Returns: one row per power; none is right.
SELECT powers.power
FROM (
    SELECT 'superuser' AS power, pg_roles.rolsuper AS held
    FROM pg_roles
    WHERE pg_roles.rolname = current_user
    UNION ALL
    SELECT 'owner of events' AS power, pg_has_role(pg_class.relowner, 'USAGE') AS held
    FROM pg_class
    WHERE pg_class.oid = 'events'::regclass
    UNION ALL
    SELECT 'no trigger ' || wanted.name AS power, pg_trigger.oid IS NULL AS held
    FROM (VALUES ('events_append_only'), ('events_no_truncate')) AS wanted (name)
    LEFT JOIN pg_trigger
        ON
            wanted.name = pg_trigger.tgname
            AND pg_trigger.tgrelid = 'events'::regclass
            AND pg_trigger.tgenabled IN ('O', 'A')
    UNION ALL
    SELECT wanted.privilege AS power, has_table_privilege('events', wanted.privilege) AS held
    FROM (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('TRIGGER')) AS wanted (privilege)
) AS powers
WHERE powers.held
ORDER BY powers.power
