-- Read what was asked for.
-- Returns: one row.
SELECT generation_requests.body
FROM generation_requests
WHERE generation_requests.generation_id = %(generation_id)s AND generation_requests.account_id = %(account_id)s
