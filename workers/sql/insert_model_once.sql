-- Add a model unless there is one of this name.
-- Returns: the name, if it was added.
INSERT INTO models (name)
VALUES (%(model)s)
ON CONFLICT (name) DO NOTHING
RETURNING name
