-- Add a model or change what it is.
-- Returns: nothing.
INSERT INTO models (
    name, provider, upstream_name, mode, context_tokens, default_output_tokens, max_output_tokens, enabled
)
VALUES (
    %(name)s, %(provider)s, %(upstream_name)s, %(mode)s, %(context_tokens)s, %(default_output_tokens)s,
    %(max_output_tokens)s, %(enabled)s
)
ON CONFLICT (name) DO UPDATE SET
    provider = excluded.provider,
    upstream_name = excluded.upstream_name,
    mode = excluded.mode,
    context_tokens = excluded.context_tokens,
    default_output_tokens = excluded.default_output_tokens,
    max_output_tokens = excluded.max_output_tokens,
    enabled = excluded.enabled
