-- Add the next version of a region, a pack or a plan; the shop must be locked.
-- Returns: the version, and when.
INSERT INTO shop_versions (kind, name, version, created_by, definition)
SELECT
    %(kind)s, %(name)s, coalesce(max(shop_versions.version), 0) + 1, %(created_by)s, %(definition)s::text::jsonb
FROM shop_versions
WHERE shop_versions.kind = %(kind)s AND shop_versions.name = %(name)s
RETURNING version, created_at
