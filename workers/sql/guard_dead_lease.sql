-- Lock a generation whose attempt has let its lease run out.
-- Returns: one row if so.
SELECT generations.id
FROM generations
WHERE
    generations.id = %(id)s
    AND generations.account_id = %(account_id)s
    AND generations.attempt = %(attempt)s
    AND generations.status = 1
    AND generations.lease_until < clock_timestamp()
FOR UPDATE
