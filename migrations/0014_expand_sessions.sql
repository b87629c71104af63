-- Conversations that the platform keeps, and the templates that texts are composed from.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; generations keep what they were asked and what they answered.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- `generation_id` is the generation whose answer is awaited, `last_generation_id` the one that the newest turn led to.
-- Texts are bytea, because they may hold NUL.
CREATE TABLE sessions (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    generation_id uuid,
    last_generation_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    next_ordinal integer NOT NULL DEFAULT 1,
    model text,
    title text,
    system bytea,
    CONSTRAINT sessions_id_account PRIMARY KEY (id, account_id),
    CONSTRAINT sessions_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT sessions_next_ordinal CHECK (next_ordinal >= 1)
) WITH (fillfactor = 70);

CREATE INDEX sessions_of_account ON sessions (account_id, id);

CREATE UNIQUE INDEX sessions_awaiting ON sessions (account_id, generation_id) WHERE generation_id IS NOT NULL;

CREATE INDEX sessions_latest ON sessions (last_generation_id) WHERE last_generation_id IS NOT NULL;

-- What was said in a session, numbered from 1 without gaps. A message never changes; it goes with its session.
CREATE TABLE session_messages (
    session_id uuid NOT NULL,
    account_id uuid NOT NULL,
    generation_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ordinal integer NOT NULL,
    partial boolean NOT NULL DEFAULT false,
    role text NOT NULL,
    parts bytea NOT NULL,
    CONSTRAINT session_messages_ordinal PRIMARY KEY (session_id, account_id, ordinal),
    CONSTRAINT session_messages_session FOREIGN KEY (session_id, account_id)
    REFERENCES sessions (id, account_id) ON DELETE CASCADE,
    CONSTRAINT session_messages_generation UNIQUE (session_id, account_id, generation_id, role),
    CONSTRAINT session_messages_role CHECK (role IN ('user', 'assistant')),
    CONSTRAINT session_messages_place CHECK (ordinal >= 1)
);

CREATE TABLE templates (
    name text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT templates_name CHECK (length(name) BETWEEN 1 AND 100)
);

-- What a template was made, by whom and when: the record of its changes is the versions themselves.
CREATE TABLE template_versions (
    name text NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    definition jsonb NOT NULL,
    CONSTRAINT template_versions_name_version PRIMARY KEY (name, version),
    CONSTRAINT template_versions_template FOREIGN KEY (name) REFERENCES templates (name),
    CONSTRAINT template_versions_version CHECK (version > 0)
);

CREATE FUNCTION refuse_template_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a template version never changes: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER template_versions_immutable
BEFORE UPDATE OR DELETE ON template_versions
FOR EACH ROW EXECUTE FUNCTION refuse_template_change();

GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO holdfast_app;
GRANT SELECT, INSERT, DELETE ON session_messages TO holdfast_app;
GRANT SELECT, INSERT, UPDATE ON templates TO holdfast_app;
GRANT SELECT, INSERT ON template_versions TO holdfast_app;
