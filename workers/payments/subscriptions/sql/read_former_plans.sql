-- Read which plans a subscription was on, the latest first.
-- Returns: plan, version and region of each, once.
SELECT
    subscription_changes.plan, subscription_changes.plan_version, subscription_changes.region
FROM subscription_changes
WHERE
    subscription_changes.gateway = %(gateway)s
    AND subscription_changes.subscription_id = %(subscription_id)s
    AND subscription_changes.plan IS NOT NULL
GROUP BY subscription_changes.plan, subscription_changes.plan_version, subscription_changes.region
ORDER BY max(subscription_changes.revision) DESC
LIMIT %(limit)s
