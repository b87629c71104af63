-- What is for sale: packs, plans and the regions they are priced in, as versions that never change.
--
-- Locks: `payment_orders` for a moment, to add a column without a value.
-- Undo:  drop the table; orders keep what they were offered, and renewals need the versions of their plans.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- What a pack, a plan or a region was made, by whom and when: the record of its changes is the versions themselves.
CREATE TABLE shop_versions (
    kind text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    definition jsonb NOT NULL,
    CONSTRAINT shop_versions_version PRIMARY KEY (kind, name, version),
    CONSTRAINT shop_versions_kind CHECK (kind IN ('pack', 'plan', 'region')),
    CONSTRAINT shop_versions_name CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT shop_versions_from_one CHECK (version > 0)
);

CREATE FUNCTION refuse_shop_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of what is for sale never changes: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER shop_versions_immutable
BEFORE UPDATE OR DELETE ON shop_versions
FOR EACH ROW EXECUTE FUNCTION refuse_shop_change();

CREATE TRIGGER shop_versions_kept
BEFORE TRUNCATE ON shop_versions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_shop_change();

-- The language in which the customer reads the gateway's page: a repeated request must not put it another way.
ALTER TABLE payment_orders ADD COLUMN language text;

GRANT SELECT, INSERT ON shop_versions TO holdfast_app;
