-- Read the policies of the journal.
-- Returns: one row per policy, in the order in which they came into force.
SELECT journal_policies.after_seq, journal_policies.switches, journal_policies.set_at, journal_policies.actor
FROM journal_policies
ORDER BY journal_policies.number
