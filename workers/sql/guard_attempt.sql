-- Lock a generation that stands where the settlement thinks it does: this attempt, in this status.
-- Returns: one row if so.
SELECT generations.id
FROM generations
WHERE
    generations.id = %(id)s
    AND generations.account_id = %(account_id)s
    AND generations.attempt = %(attempt)s
    AND generations.status = %(status)s
FOR UPDATE
