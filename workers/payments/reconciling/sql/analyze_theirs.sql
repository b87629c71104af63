-- Let the planner know what was listed.
-- Returns: nothing.
ANALYZE reconciling_theirs;
