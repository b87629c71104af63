-- Lock a template, so that its versions are numbered one at a time.
-- Returns: the name, if it exists.
SELECT templates.name
FROM templates
WHERE templates.name = %(name)s
FOR UPDATE
