-- Read the versions of a template, newest first.
-- Returns: at most `limit` rows, the columns of read_template.sql.
SELECT
    template_versions.name, template_versions.version, template_versions.definition::text,
    template_versions.created_at, template_versions.created_by
FROM template_versions
WHERE template_versions.name = %(name)s
ORDER BY template_versions.version DESC
LIMIT %(limit)s
