-- Read what a range of leaves is made from, with zeros where an event or its place in the order is missing.
-- Returns: the hashes one after the other, the first seq that has no event, and how many events there are too many, which
--          happens only where two have one position.
SELECT
    string_agg(coalesce(events.hash, decode(repeat('00', 32), 'hex')), ''::bytea ORDER BY numbers.seq),
    min(numbers.seq) FILTER (WHERE events.hash IS NULL),
    count(*) - (%(beyond)s - %(first)s)
FROM generate_series(%(first)s + 1, %(beyond)s) AS numbers (seq)
LEFT JOIN sealed ON numbers.seq = sealed.seq
LEFT JOIN events ON sealed.position = events.position
