"""The sealed order of a database, checked against its events."""

from psycopg import Connection

from tests.ledger_state import snapshot_of


def check_sealed(url: str, *, complete: bool = True) -> int:
    """Check that sealing was gapless, once per event and causal per account; return how many events are sealed.

    With `complete`, no event is left over.
    """
    with snapshot_of(url) as connection:
        size = one(connection, "SELECT count(*) FROM sealed")
        assert one(connection, "SELECT coalesce(min(seq), 1) FROM sealed") == 1
        assert one(connection, "SELECT coalesce(max(seq), 0) FROM sealed") == size
        assert one(connection, "SELECT size FROM ticks ORDER BY number DESC LIMIT 1") == size
        # A position without an event, an event that is sealed out of its account's order, a tick that is missing.
        assert (
            one(connection, "SELECT count(*) FROM sealed LEFT JOIN events USING (position) WHERE version IS NULL") == 0
        )
        assert one(connection, OUT_OF_ORDER) == 0
        assert one(connection, "SELECT count(*) - max(number) FROM ticks") == 1
        if complete:
            assert one(connection, "SELECT count(*) FROM events") == size
        return size


WITHOUT_EVENT = "SELECT count(*) FROM sealed LEFT JOIN events USING (position) WHERE events.version IS NULL"

OUT_OF_ORDER = """
    SELECT count(*)
    FROM (
        SELECT version, row_number() OVER (PARTITION BY account_id ORDER BY seq) AS place
        FROM sealed INNER JOIN events USING (position)
    ) AS placed
    WHERE version <> place
"""


def one(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
