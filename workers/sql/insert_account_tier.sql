-- Record what an administrator decided about an account's tier; without a tier, what was paid decides again.
-- Returns: nothing.
-- Raises:  account_tiers_account_id_fkey   there is no such account
INSERT INTO account_tiers (account_id, tier, changed_by)
VALUES (%(account_id)s, %(tier)s, %(changed_by)s)
