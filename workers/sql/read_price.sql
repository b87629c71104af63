-- Read one price version.
-- Returns: at most one row.
SELECT
    model_prices.input_price, model_prices.output_price, model_prices.cache_read_price, model_prices.cache_write_price,
    model_prices.input_cost, model_prices.output_cost, model_prices.cache_read_cost, model_prices.cache_write_cost
FROM model_prices
WHERE model_prices.model = %(model)s AND model_prices.version = %(version)s
