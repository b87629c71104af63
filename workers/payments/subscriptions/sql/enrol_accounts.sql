-- Have the free credits of the accounts looked at that come next in the order of their ids.
-- Returns: one row: how many accounts that were, and the last of them.
WITH page AS (
    SELECT accounts.id
    FROM accounts
    WHERE accounts.id > %(after)s
    ORDER BY accounts.id
    LIMIT %(limit)s
),

enrolled AS (
    INSERT INTO daily_credits (account_id, due_at)
    SELECT
        page.id, %(now)s
    FROM page
    ON CONFLICT ON CONSTRAINT daily_credits_account_id DO UPDATE
    SET due_at = excluded.due_at
    WHERE daily_credits.due_at IS NULL
)

SELECT
    count(*) AS accounts,
    (array_agg(page.id ORDER BY page.id DESC))[1] AS last_id
FROM page
