-- Read all versions of what a model is.
-- Returns: one row per version, newest first.
SELECT model_versions.version, model_versions.created_at, model_versions.created_by, model_versions.definition
FROM model_versions
WHERE model_versions.model = %(model)s
ORDER BY model_versions.version DESC
