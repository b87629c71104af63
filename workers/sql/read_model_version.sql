-- Read one version of what a model is.
-- Returns: at most one row.
SELECT model_versions.definition
FROM model_versions
WHERE model_versions.model = %(model)s AND model_versions.version = %(version)s
