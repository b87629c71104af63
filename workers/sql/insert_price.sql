-- Add the next price version of a model; the model must be locked.
-- Returns: the version, since when it is valid, and when it was made.
INSERT INTO model_prices (model, version, prices, costs, valid_from, created_by)
SELECT
    %(model)s, coalesce(max(model_prices.version), 0) + 1, %(prices)s::text::jsonb, %(costs)s::text::jsonb,
    coalesce(%(valid_from)s::timestamptz, now()), %(created_by)s
FROM model_prices
WHERE model_prices.model = %(model)s
RETURNING version, valid_from, created_at
