-- Add a model unless there is one of this name.
-- Returns: the name, if it was added.
INSERT INTO models (
    name, provider, upstream_name, mode, context_tokens, default_output_tokens, max_output_tokens, enabled
)
VALUES (
    %(name)s, %(provider)s, %(upstream_name)s, %(mode)s, %(context_tokens)s, %(default_output_tokens)s,
    %(max_output_tokens)s, %(enabled)s
)
ON CONFLICT (name) DO NOTHING
RETURNING name
