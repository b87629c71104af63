-- Read all models as they are now, with the prices that are valid now.
-- Returns: one row per model that has a price.
SELECT
    models.name, current_version.version, current_version.definition, current_price.version AS price_version,
    current_price.prices, current_price.costs
FROM models
CROSS JOIN LATERAL (
    SELECT model_versions.*
    FROM model_versions
    WHERE model_versions.model = models.name
    ORDER BY model_versions.version DESC
    LIMIT 1
) AS current_version
CROSS JOIN LATERAL (
    SELECT model_prices.*
    FROM model_prices
    WHERE model_prices.model = models.name AND model_prices.valid_from <= now()
    ORDER BY model_prices.version DESC
    LIMIT 1
) AS current_price
ORDER BY models.name
