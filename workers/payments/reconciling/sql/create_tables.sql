-- Make the tables of one reconciliation. They are this session's own and go with it.
-- Returns: nothing.
CREATE TEMPORARY TABLE reconciling_listed (
    ordinal bigint NOT NULL,
    is_refund boolean NOT NULL,
    id text NOT NULL,
    payment_id text NOT NULL,
    order_id uuid,
    amount_minor bigint NOT NULL,
    tax_minor bigint,
    at timestamptz NOT NULL,
    status smallint NOT NULL,
    currency text NOT NULL,
    fact bytea NOT NULL
) ON COMMIT DELETE ROWS;

CREATE TEMPORARY TABLE reconciling_theirs (
    is_refund boolean NOT NULL,
    id text NOT NULL,
    payment_id text NOT NULL,
    order_id uuid,
    amount_minor bigint NOT NULL,
    tax_minor bigint,
    at timestamptz NOT NULL,
    status smallint NOT NULL,
    currency text NOT NULL,
    fact bytea NOT NULL,
    PRIMARY KEY (is_refund, id)
);

CREATE INDEX ON reconciling_theirs (is_refund, at, id);

CREATE INDEX ON reconciling_theirs (order_id) WHERE order_id IS NOT NULL;

CREATE TEMPORARY TABLE reconciling_ours (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    is_refund boolean NOT NULL,
    id text NOT NULL,
    payment_id text NOT NULL,
    order_id uuid,
    account_id uuid,
    at timestamptz NOT NULL,
    amount_minor bigint,
    currency text,
    credits bigint,
    detail text NOT NULL
);
