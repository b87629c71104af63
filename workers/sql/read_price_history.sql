-- Read all price versions of a model.
-- Returns: one row per version, newest first.
SELECT
    model_prices.version, model_prices.valid_from, model_prices.created_at, model_prices.created_by,
    model_prices.prices, model_prices.costs
FROM model_prices
WHERE model_prices.model = %(model)s
ORDER BY model_prices.version DESC
