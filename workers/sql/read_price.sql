-- Read one price version.
-- Returns: at most one row.
SELECT model_prices.prices, model_prices.costs
FROM model_prices
WHERE model_prices.model = %(model)s AND model_prices.version = %(version)s
