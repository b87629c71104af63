-- Read the settings that decide whether an answered commit survives a power cut.
-- Returns: one row: fsync, synchronous_commit, full_page_writes.
SELECT
    current_setting('fsync') AS fsync,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('full_page_writes') AS full_page_writes
