-- Add the next version of what a model is; the model must be locked.
-- Returns: the version, and when it was made.
INSERT INTO model_versions (model, version, created_by, definition)
SELECT %(model)s, coalesce(max(model_versions.version), 0) + 1, %(created_by)s, %(definition)s::text::jsonb
FROM model_versions
WHERE model_versions.model = %(model)s
RETURNING version, created_at
