-- How far the checkpoints are behind.
-- Returns: seconds since the oldest sealed event that is in no checkpoint, zero if all are, nothing if there is no
--          checkpoint.
SELECT
    CASE
        WHEN latest.size IS NOT NULL THEN coalesce(
            (
                SELECT extract(EPOCH FROM clock_timestamp() - events.recorded_at)::double precision
                FROM sealed
                INNER JOIN events ON sealed.position = events.position
                WHERE sealed.seq = latest.size + 1
            ), 0
        )
    END
FROM (
    SELECT max(checkpoints.size) AS size
    FROM checkpoints
) AS latest
