-- Read what metrics show of generations: all totals of the build that is read.
-- Returns: one row each: counter, model, provider, operation, label, total.
SELECT
    analytics_totals.counter, analytics_totals.model, analytics_totals.provider, analytics_totals.operation,
    analytics_totals.label, analytics_totals.total
FROM analytics_totals
INNER JOIN projections ON analytics_totals.build = projections.active
WHERE projections.name = 'analytics'
