-- See whether anything was ever for sale here.
-- Returns: one row.
SELECT exists(SELECT FROM shop_versions)
