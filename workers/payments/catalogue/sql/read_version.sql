-- Read one version of a region, a pack or a plan.
-- Returns: at most one row, the columns of read_newest.sql.
SELECT
    shop_versions.version, shop_versions.definition::text AS definition, shop_versions.created_at,
    shop_versions.created_by
FROM shop_versions
WHERE shop_versions.kind = %(kind)s AND shop_versions.name = %(name)s AND shop_versions.version = %(version)s
