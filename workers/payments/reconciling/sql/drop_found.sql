-- Take out what the gateway does list after all, further back.
-- Returns: nothing.
DELETE FROM reconciling_ours
USING reconciling_theirs AS theirs
WHERE reconciling_ours.is_refund = theirs.is_refund AND reconciling_ours.id = theirs.id;
