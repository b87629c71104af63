-- Record who made a model what it now is.
-- Returns: nothing.
INSERT INTO model_changes (model, changed_by, definition)
VALUES (%(model)s, %(changed_by)s, %(definition)s::text::jsonb)
