-- Read all price versions of a model.
-- Returns: one row per version, newest first.
SELECT
    model_prices.version, model_prices.valid_from, model_prices.created_at, model_prices.created_by,
    model_prices.input_price, model_prices.output_price, model_prices.cache_read_price, model_prices.cache_write_price,
    model_prices.input_cost, model_prices.output_cost, model_prices.cache_read_cost, model_prices.cache_write_cost
FROM model_prices
WHERE model_prices.model = %(model)s
ORDER BY model_prices.version DESC
