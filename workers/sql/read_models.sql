-- Read all models with the prices that are valid now.
-- Returns: one row per model that has a price.
SELECT
    models.name, models.provider, models.upstream_name, models.mode, models.context_tokens,
    models.default_output_tokens, models.max_output_tokens, models.enabled, current_price.version,
    current_price.input_price, current_price.output_price, current_price.cache_read_price,
    current_price.cache_write_price, current_price.input_cost, current_price.output_cost,
    current_price.cache_read_cost, current_price.cache_write_cost
FROM models
CROSS JOIN LATERAL (
    SELECT model_prices.*
    FROM model_prices
    WHERE model_prices.model = models.name AND model_prices.valid_from <= now()
    ORDER BY model_prices.version DESC
    LIMIT 1
) AS current_price
ORDER BY models.name
