-- Have webhooks processed as if they had just come. One that is due or being processed is left as it is.
-- Returns: the ids of those that there are.
WITH replayed AS (
    UPDATE payment_inbox
    SET state = 0, tries = 0, due_at = clock_timestamp(), processed_at = NULL
    WHERE
        payment_inbox.id = ANY(%(ids)s::bigint[])
        AND (payment_inbox.state <> 0 OR payment_inbox.last_error IS NOT NULL)
)

SELECT payment_inbox.id
FROM payment_inbox
WHERE payment_inbox.id = ANY(%(ids)s::bigint[])
ORDER BY payment_inbox.id
