-- Add the next version of a template; the template must be locked.
-- Returns: the version, and when.
INSERT INTO template_versions (name, version, created_by, definition)
SELECT %(name)s, coalesce(max(template_versions.version), 0) + 1, %(created_by)s, %(definition)s::text::jsonb
FROM template_versions
WHERE template_versions.name = %(name)s
RETURNING version, created_at
