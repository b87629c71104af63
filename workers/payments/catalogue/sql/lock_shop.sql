-- Let no other transaction change what is for sale until this one has ended; changes are rare, and look at each other.
-- Returns: one row, once it is so.
SELECT pg_advisory_xact_lock(hashtextextended('holdfast: shop_versions', 0))
