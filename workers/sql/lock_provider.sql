-- Let one transaction at a time decide whether a provider has room, until it ends.
-- Returns: one row without a meaning.
SELECT pg_advisory_xact_lock(hashtextextended('holdfast provider ' || %(provider)s::text, 0))
