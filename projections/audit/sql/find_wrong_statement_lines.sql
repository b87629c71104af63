-- Find events whose line, made anew in a temporary table, is not the one that is kept.
-- Returns: one row per event, the first first: its seq, account and version.
SELECT anew.seq, anew.account_id, anew.version
FROM pg_temp.statement_lines AS anew
LEFT JOIN public.statement_lines AS kept
    ON
        anew.account_id = kept.account_id AND anew.version = kept.version
        AND kept.build = %(build)s AND kept.seq > %(after_seq)s AND kept.seq <= %(upto_seq)s
WHERE
    (
        anew.seq, anew.kind, anew.amount, anew.available_change, anew.frozen_change, anew.available_after,
        anew.frozen_after, anew.recorded_at, anew.effective_at, anew.freeze_id, anew.reference, anew.reason
    ) IS DISTINCT FROM (
        kept.seq, kept.kind, kept.amount, kept.available_change, kept.frozen_change, kept.available_after,
        kept.frozen_after, kept.recorded_at, kept.effective_at, kept.freeze_id, kept.reference, kept.reason
    )
ORDER BY anew.seq
LIMIT %(limit)s
