-- Count what the gateway lists in the window.
-- Returns: one row, with one number.
SELECT count(*)
FROM reconciling_theirs AS theirs
WHERE theirs.at >= %(since)s AND theirs.at < %(until)s;
