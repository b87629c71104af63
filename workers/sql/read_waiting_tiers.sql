-- Read in which tiers something waits.
-- Returns: one row per tier.
SELECT DISTINCT outbox_classes.tier FROM outbox_classes
