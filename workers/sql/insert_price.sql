-- Add the next price version of a model; the model must be locked.
-- Returns: the version, and since when it is valid.
INSERT INTO model_prices (
    model, version, input_price, output_price, cache_read_price, cache_write_price, input_cost, output_cost,
    cache_read_cost, cache_write_cost, valid_from, created_by
)
SELECT
    %(model)s, coalesce(max(model_prices.version), 0) + 1, %(input_price)s, %(output_price)s, %(cache_read_price)s,
    %(cache_write_price)s, %(input_cost)s, %(output_cost)s, %(cache_read_cost)s, %(cache_write_cost)s,
    coalesce(%(valid_from)s::timestamptz, now()), %(created_by)s
FROM model_prices
WHERE model_prices.model = %(model)s
RETURNING version, valid_from
