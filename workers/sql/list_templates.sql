-- Read the newest version of every template.
-- Returns: one row each, in the order of their names, the columns of read_template.sql.
SELECT
    newest.name, newest.version, newest.definition, newest.created_at, newest.created_by
FROM templates
CROSS JOIN LATERAL (
    SELECT
        template_versions.name, template_versions.version, template_versions.definition::text AS definition,
        template_versions.created_at, template_versions.created_by
    FROM template_versions
    WHERE template_versions.name = templates.name
    ORDER BY template_versions.version DESC
    LIMIT 1
) AS newest
WHERE templates.name > %(after)s
ORDER BY templates.name
LIMIT %(limit)s
