-- Add the name of a template that is not there yet.
-- Returns: the name, if it was missing.
INSERT INTO templates (name)
VALUES (%(name)s)
ON CONFLICT (name) DO NOTHING
RETURNING name
