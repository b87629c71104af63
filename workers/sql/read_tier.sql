-- Read what decides an account's tier.
-- Returns: one row: the tier that an administrator set, if one did, and whether credits that were paid for are left.
SELECT
    (
        SELECT account_tiers.tier
        FROM account_tiers
        WHERE account_tiers.account_id = %(account_id)s
        ORDER BY account_tiers.id DESC
        LIMIT 1
    ),
    EXISTS(
        SELECT
        FROM lots
        WHERE lots.account_id = %(account_id)s AND lots.live AND lots.paid_amount <> ''
    )
