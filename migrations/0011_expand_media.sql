-- Media objects: what was uploaded, and what generations made that is not text. The bytes are in the store.
--
-- One row for one object, whoever brings its bytes: the object's key is the row's, and only the first writer succeeds.
--
-- Locks: none that matter, the table is new.
-- Undo:  drop the table; the objects stay in the store under `media/`.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- `put_until` is until when a signed upload to the object may begin: not before can what is deleted be forgotten. A row
-- whose `purge_at` has come and whose `purged_at` is missing has an object to be deleted.
-- `source_url` is where the provider keeps a result: whoever has it can fetch it. It goes when the bytes are ours.
CREATE TABLE media_objects (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    generation_id uuid,
    ordinal integer NOT NULL DEFAULT 0,
    width integer,
    height integer,
    size_bytes bigint,
    duration_ms bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    offered_until timestamptz,
    put_until timestamptz,
    stored_at timestamptz,
    expires_at timestamptz,
    deleted_at timestamptz,
    purge_at timestamptz,
    purged_at timestamptz,
    purpose text NOT NULL,
    kind text NOT NULL,
    media_type text NOT NULL,
    state text NOT NULL,
    storage_key text NOT NULL,
    sha256 bytea,
    source_url text,
    CONSTRAINT media_objects_id_account PRIMARY KEY (id, account_id),
    CONSTRAINT media_objects_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT media_objects_result UNIQUE (account_id, generation_id, ordinal),
    CONSTRAINT media_objects_purpose CHECK (
        (purpose = 'upload' AND generation_id IS NULL) OR (purpose = 'result' AND generation_id IS NOT NULL)
    ),
    CONSTRAINT media_objects_kind CHECK (kind IN ('image', 'audio', 'video')),
    CONSTRAINT media_objects_state CHECK (state IN ('awaiting_upload', 'offered', 'stored', 'failed', 'deleted')),
    CONSTRAINT media_objects_ordinal CHECK (ordinal >= 0),
    CONSTRAINT media_objects_stored_whole CHECK (state <> 'stored' OR num_nulls(size_bytes, stored_at) = 0),
    CONSTRAINT media_objects_secret CHECK (source_url IS NULL OR state = 'offered'),
    CONSTRAINT media_objects_purge CHECK ((purge_at IS NOT NULL) = (state IN ('failed', 'deleted'))),
    CONSTRAINT media_objects_range CHECK (
        size_bytes >= 0 AND width > 0 AND height > 0 AND duration_ms >= 0 AND length(sha256) = 32
    )
);

CREATE INDEX media_objects_of_account ON media_objects (account_id, id);
CREATE INDEX media_objects_expiring ON media_objects (expires_at) WHERE state = 'stored' AND expires_at IS NOT NULL;
CREATE INDEX media_objects_unfinished ON media_objects (created_at) WHERE state IN ('awaiting_upload', 'offered');
CREATE INDEX media_objects_purgeable ON media_objects (purge_at) WHERE purge_at IS NOT NULL AND purged_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON media_objects TO holdfast_app;
