-- Who may use the API, and the answers of requests that may be repeated.
--
-- Locks: none that matter, all tables are new.
-- Undo:  drop the tables; every key has to be made again.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Secrets are random 256-bit strings, so a plain SHA-256 cannot be guessed back; a slow password hash would only cost
-- every request its time.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    account_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    role text NOT NULL,
    name text NOT NULL,
    created_by text NOT NULL,
    secret_sha256 bytea NOT NULL,
    CONSTRAINT api_keys_role CHECK (role IN ('user', 'service', 'admin', 'finance')),
    CONSTRAINT api_keys_user_account CHECK ((role = 'user') = (account_id IS NOT NULL)),
    CONSTRAINT api_keys_name CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT api_keys_secret CHECK (length(secret_sha256) = 32)
);

-- Ledger commands have their keys in the ledger. This is for the other requests that change something.
CREATE TABLE idempotent_requests (
    created_at timestamptz NOT NULL DEFAULT now(),
    status smallint,
    is_encrypted boolean NOT NULL DEFAULT false,
    principal text NOT NULL,
    idempotency_key text NOT NULL,
    request_sha256 bytea NOT NULL,
    body bytea,
    CONSTRAINT idempotent_requests_principal_key PRIMARY KEY (principal, idempotency_key),
    CONSTRAINT idempotent_requests_key CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    CONSTRAINT idempotent_requests_digest CHECK (length(request_sha256) = 32),
    CONSTRAINT idempotent_requests_answered CHECK ((status IS NULL) = (body IS NULL))
);

CREATE INDEX idempotent_requests_created_at ON idempotent_requests (created_at);

GRANT SELECT, INSERT ON api_keys TO holdfast_app;
GRANT UPDATE (revoked_at) ON api_keys TO holdfast_app;
GRANT SELECT, INSERT, DELETE ON idempotent_requests TO holdfast_app;
GRANT UPDATE (status, is_encrypted, body) ON idempotent_requests TO holdfast_app;
