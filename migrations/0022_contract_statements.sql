-- Statements without what the log has already: of each line only its place in the sealed order and what it changed are
-- kept, and those of many events of an account in one row. What was a table of lines is a view on them and the events.
--
-- Locks: all of `statement_lines`, for the moment it takes to drop it. Projectors of the release before halt at their next
--        batch of statements, until one of this release takes over.
-- Undo:  make the table again as `0006` does, and rebuild the statements.
--
-- Statements are built anew from the log, at about a million events a second; until then the view ends where they are.
-- squawk-ignore-file ban-drop-table

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

DROP TABLE statement_lines;

-- The lines of up to 32 events of an account, in the order of its versions: element n is of version `first_version` + n - 1.
CREATE TABLE statement_blocks (
    build smallint NOT NULL,
    account_id uuid NOT NULL,
    first_version bigint NOT NULL,
    seqs bigint[] NOT NULL,
    available_changes bigint[] NOT NULL,
    frozen_changes bigint[] NOT NULL,
    CONSTRAINT statement_blocks_account_version PRIMARY KEY (build, account_id, first_version)
) PARTITION BY LIST (build);
CREATE TABLE statement_blocks_0 PARTITION OF statement_blocks FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE statement_blocks_1 PARTITION OF statement_blocks FOR VALUES IN (1) WITH (fillfactor = 70);

-- One line per event: what it changed, and the balance after it. Whoever reads it names the build.
CREATE VIEW statement_lines AS
SELECT
    statement_blocks.build,
    events.kind,
    events.account_id,
    events.version,
    line.seq,
    events.amount,
    line.available_change,
    line.frozen_change,
    events.available_after,
    events.frozen_after,
    events.recorded_at,
    coalesce(
        timestamptz '1970-01-01 00:00:00+00' + document.effective_at_us * interval '1 microsecond', events.recorded_at
    ) AS effective_at,
    document.freeze_id,
    coalesce(document.reference, '') AS reference,
    coalesce(document.reason, '') AS reason
FROM statement_blocks
CROSS JOIN LATERAL unnest(
    statement_blocks.seqs, statement_blocks.available_changes, statement_blocks.frozen_changes
) WITH ORDINALITY AS line (seq, available_change, frozen_change, place)
INNER JOIN events
    ON
        statement_blocks.account_id = events.account_id
        AND statement_blocks.first_version + line.place - 1 = events.version
CROSS JOIN LATERAL json_to_record(convert_from(events.body, 'UTF8')::json) AS document (
    effective_at_us bigint, freeze_id uuid, reference text, reason text
);

CREATE OR REPLACE FUNCTION empty_build(projection text, build smallint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    tables text[] := CASE projection
        WHEN 'balances' THEN ARRAY['balance_snapshots']
        WHEN 'statements' THEN ARRAY['statement_blocks']
        WHEN 'journal' THEN ARRAY['journal_lines', 'journal_lots']
        WHEN 'analytics' THEN ARRAY[
            'analytics_generations', 'analytics_latencies', 'analytics_errors', 'analytics_totals',
            'analytics_revenue', 'analytics_account_days', 'analytics_accounts'
        ]
    END;
    name text;
BEGIN
    FOREACH name IN ARRAY tables LOOP
        EXECUTE format('TRUNCATE %I', name || '_' || build);
    END LOOP;
END
$$;

UPDATE projection_builds
SET seq = 0, halted_seq = NULL, halted_at = NULL, halt_reason = NULL
WHERE name = 'statements';

GRANT SELECT, INSERT, UPDATE ON statement_blocks TO holdfast_app;
GRANT SELECT ON statement_lines TO holdfast_app;
GRANT TRUNCATE ON statement_blocks_0, statement_blocks_1 TO holdfast_app;
