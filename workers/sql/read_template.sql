-- Read one version of a template, the newest where none is named.
-- Returns: at most one row.
SELECT
    template_versions.name, template_versions.version, template_versions.definition::text,
    template_versions.created_at, template_versions.created_by
FROM template_versions
WHERE
    template_versions.name = %(name)s
    AND (%(version)s::integer IS NULL OR template_versions.version = %(version)s)
ORDER BY template_versions.version DESC
LIMIT 1
