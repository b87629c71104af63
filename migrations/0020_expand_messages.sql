-- Messages to the owners of accounts, and where and how they want them.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; what was not sent yet never is, and owners give their addresses again.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Personal data: deleted with the owner's wish, and kept nowhere else.
CREATE TABLE account_contacts (
    account_id uuid NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    email text NOT NULL,
    locale text NOT NULL,
    time_zone text NOT NULL,
    country text,
    CONSTRAINT account_contacts_account_id PRIMARY KEY (account_id),
    CONSTRAINT account_contacts_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT account_contacts_email CHECK (length(email) BETWEEN 3 AND 254),
    CONSTRAINT account_contacts_locale CHECK (length(locale) BETWEEN 2 AND 35),
    CONSTRAINT account_contacts_time_zone CHECK (length(time_zone) BETWEEN 1 AND 64),
    CONSTRAINT account_contacts_country CHECK (country ~ '^[A-Z]{2}$')
);

-- States: 0 waiting, 1 sent, 2 skipped (nobody to send it to, or by), 3 given up. `due_at` of one that waits is when it is
-- to be tried next, or when the try that runs now counts as lost.
CREATE TABLE messages (
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    state smallint NOT NULL DEFAULT 0,
    key text NOT NULL,
    kind text NOT NULL,
    values jsonb NOT NULL,
    last_error text,
    CONSTRAINT messages_account_key PRIMARY KEY (account_id, key),
    CONSTRAINT messages_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT messages_key CHECK (length(key) BETWEEN 1 AND 200),
    CONSTRAINT messages_state CHECK (state BETWEEN 0 AND 3),
    CONSTRAINT messages_sent CHECK ((state = 1) = (sent_at IS NOT NULL)),
    CONSTRAINT messages_tries CHECK (tries >= 0)
) WITH (fillfactor = 80);

CREATE INDEX messages_due ON messages (due_at) WHERE state = 0;

GRANT SELECT, INSERT, UPDATE ON messages TO holdfast_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON account_contacts TO holdfast_app;
