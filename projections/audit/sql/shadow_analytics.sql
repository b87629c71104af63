-- Make empty tables that hide those of the analytics from this session until the transaction ends.
-- Returns: nothing.
CREATE TEMPORARY TABLE analytics_generations (
    LIKE public.analytics_generations INCLUDING DEFAULTS INCLUDING INDEXES
) ON COMMIT DROP;
CREATE TEMPORARY TABLE analytics_latencies (
    LIKE public.analytics_latencies INCLUDING INDEXES
) ON COMMIT DROP;
CREATE TEMPORARY TABLE analytics_errors (
    LIKE public.analytics_errors INCLUDING INDEXES
) ON COMMIT DROP;
CREATE TEMPORARY TABLE analytics_totals (
    LIKE public.analytics_totals INCLUDING INDEXES
) ON COMMIT DROP;
CREATE TEMPORARY TABLE analytics_revenue (
    LIKE public.analytics_revenue INCLUDING INDEXES
) ON COMMIT DROP;
CREATE TEMPORARY TABLE analytics_account_days (
    LIKE public.analytics_account_days INCLUDING DEFAULTS INCLUDING INDEXES
) ON COMMIT DROP;
CREATE TEMPORARY TABLE analytics_accounts (
    LIKE public.analytics_accounts INCLUDING INDEXES
) ON COMMIT DROP;
