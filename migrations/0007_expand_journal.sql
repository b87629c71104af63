-- The double-entry journal, the policies it is kept under, and the periods that are closed.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; but for policies and closed periods, everything in them comes from the log.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- The chart of accounts: numbers from 9000 on are about credits, those below about money.
CREATE TABLE ledger_accounts (
    number smallint PRIMARY KEY,
    name text NOT NULL UNIQUE
);

INSERT INTO ledger_accounts (number, name) VALUES
(1000, 'Assets:Clearing:Payments'),
(1010, 'Assets:Clearing:Refunds'),
(1020, 'Assets:Clearing:Chargebacks'),
(2000, 'Liabilities:Contract'),
(2100, 'Liabilities:Refunds'),
(2200, 'Liabilities:ExpiredCredits'),
(4000, 'Income:Usage'),
(4100, 'Income:Breakage'),
(4800, 'Income:PromotionalUse'),
(4900, 'Income:PromotionalDiscount'),
(6000, 'Expenses:Promotions'),
(6010, 'Expenses:PromotionsAbsorbed'),
(6100, 'Expenses:Chargebacks'),
(6200, 'Expenses:WriteOffs'),
(9100, 'Assets:CreditsOwed'),
(9200, 'Liabilities:Credits'),
(9300, 'Equity:Credits:Bought'),
(9310, 'Equity:Credits:Granted'),
(9320, 'Equity:Credits:Used'),
(9330, 'Equity:Credits:Expired'),
(9340, 'Equity:Credits:Refunded'),
(9350, 'Equity:Credits:Adjusted');

-- Every line takes an amount from one account to another, so no event can be entered out of balance: not in all, and not in
-- any commodity. Amounts are millionths of a currency, or of a credit.
CREATE TABLE journal_lines (
    build smallint NOT NULL,
    debit smallint NOT NULL,
    credit smallint NOT NULL,
    line smallint NOT NULL,
    booked_on date NOT NULL,
    seq bigint NOT NULL,
    version bigint NOT NULL,
    lot bigint NOT NULL,
    amount bigint NOT NULL,
    account_id uuid NOT NULL,
    commodity text COLLATE "C" NOT NULL,
    CONSTRAINT journal_lines_seq_line PRIMARY KEY (build, seq, line),
    CONSTRAINT journal_lines_move_something CHECK (amount > 0 AND debit <> credit),
    CONSTRAINT journal_lines_commodity CHECK (
        (commodity = 'CREDIT') = (debit >= 9000) AND (debit >= 9000) = (credit >= 9000)
    )
) PARTITION BY LIST (build);
CREATE TABLE journal_lines_0 PARTITION OF journal_lines FOR VALUES IN (0);
CREATE TABLE journal_lines_1 PARTITION OF journal_lines FOR VALUES IN (1);

-- What the journal knows of each lot: what it cost, and what became of its credits and its money so far.
CREATE TABLE journal_lots (
    build smallint NOT NULL,
    is_bought boolean NOT NULL,
    unit integer NOT NULL,
    account_id uuid NOT NULL,
    number bigint NOT NULL,
    amount bigint NOT NULL,
    held bigint NOT NULL,
    reversed bigint NOT NULL,
    expired bigint NOT NULL,
    currency text COLLATE "C" NOT NULL,
    paid numeric(24, 0) NOT NULL,
    expired_deferred numeric(24, 0) NOT NULL,
    expired_recognised numeric(24, 0) NOT NULL,
    CONSTRAINT journal_lots_account_number PRIMARY KEY (build, account_id, number),
    CONSTRAINT journal_lots_parts CHECK (held >= 0 AND expired >= 0 AND held + expired <= amount),
    CONSTRAINT journal_lots_reversed CHECK (reversed BETWEEN 0 AND amount),
    CONSTRAINT journal_lots_money CHECK (
        paid >= 0 AND expired_deferred >= 0 AND expired_recognised >= 0 AND expired_deferred + expired_recognised <= paid
    )
) PARTITION BY LIST (build);
CREATE TABLE journal_lots_0 PARTITION OF journal_lots FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE journal_lots_1 PARTITION OF journal_lots FOR VALUES IN (1) WITH (fillfactor = 70);

-- In force for the events after `after_seq`. Set for what is to come only, so that a rebuild makes the same entries.
CREATE TABLE journal_policies (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    after_seq bigint NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    switches jsonb NOT NULL
);

-- A closed period holds what was booked up to and on a day by the first `seq` events. What comes later is booked after it.
CREATE TABLE closed_periods (
    through date PRIMARY KEY,
    seq bigint NOT NULL,
    closed_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    root bytea,
    report bytea NOT NULL,
    report_sha256 bytea NOT NULL,
    CONSTRAINT closed_periods_sha256 CHECK (report_sha256 = sha256(report)),
    CONSTRAINT closed_periods_root CHECK (length(root) = 32)
);

CREATE TRIGGER journal_policies_append_only
BEFORE UPDATE OR DELETE ON journal_policies
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER journal_policies_no_truncate
BEFORE TRUNCATE ON journal_policies
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER closed_periods_append_only
BEFORE UPDATE OR DELETE ON closed_periods
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER closed_periods_no_truncate
BEFORE TRUNCATE ON closed_periods
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE FUNCTION empty_build(projection text, build smallint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    tables text[] := CASE projection
        WHEN 'balances' THEN ARRAY['balance_snapshots']
        WHEN 'statements' THEN ARRAY['statement_lines']
        WHEN 'journal' THEN ARRAY['journal_lines', 'journal_lots']
    END;
    name text;
BEGIN
    FOREACH name IN ARRAY tables LOOP
        EXECUTE format('TRUNCATE %I', name || '_' || build);
    END LOOP;
END
$$;

INSERT INTO projections (name) VALUES ('journal');
INSERT INTO projection_builds (name, build) VALUES ('journal', 0);

GRANT SELECT ON ledger_accounts TO holdfast_app;
GRANT SELECT, INSERT ON journal_lines, journal_policies, closed_periods TO holdfast_app;
GRANT SELECT, INSERT, UPDATE ON journal_lots TO holdfast_app;
GRANT TRUNCATE ON journal_lines_0, journal_lines_1, journal_lots_0, journal_lots_1 TO holdfast_app;
