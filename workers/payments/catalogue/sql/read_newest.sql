-- Read the newest version of every region, pack or plan. They are few, and each has few versions.
-- Returns: one row each, in the order of their names.
SELECT DISTINCT ON (shop_versions.name)
    shop_versions.version, shop_versions.definition::text AS definition, shop_versions.created_at,
    shop_versions.created_by
FROM shop_versions
WHERE shop_versions.kind = %(kind)s
ORDER BY shop_versions.name ASC, shop_versions.version DESC
