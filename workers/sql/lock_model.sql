-- Lock a model, so that versions of its price are numbered one at a time.
-- Returns: the model's name, if it exists.
SELECT models.name
FROM models
WHERE models.name = %(model)s
FOR UPDATE
