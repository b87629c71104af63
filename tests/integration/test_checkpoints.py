"""Checkpoints: signed when the log has grown, published out of the database's reach, refused when the log forked."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.checkpoints import LogForked, lag_s, open_checkpoint, read_latest, sign
from ledger.database import Database
from ledger.merkle import EMPTY_ROOT
from ledger.notes import SigningKey, VerifierKey
from ledger.sealer import seal
from ledger.writer import LedgerWriter
from tests.builders import charge, open_account, top_up
from tests.fakes import s3_server
from tests.fakes.s3_server import Bucket
from workers.checkpoints.bucket import BucketPlace
from workers.checkpoints.bucket_settings import BucketSettings
from workers.checkpoints.files import FilePlace
from workers.checkpoints.place import PlaceUnreachable
from workers.checkpoints.publisher import Publisher
from workers.settings import SettingsError
from workers.signing import signing_key

KEY = SigningKey.generate("holdfast.example/test")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", s3_server.REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with s3_server.s3_server() as running:
        yield running


def settings_for(bucket: Bucket, **changes: str) -> BucketSettings:
    environment = {
        "HOLDFAST_CHECKPOINT_S3_BUCKET": bucket.name,
        "HOLDFAST_CHECKPOINT_S3_ENDPOINT": bucket.url,
        **changes,
    }
    settings = BucketSettings.from_environment(environment)
    assert settings is not None
    return settings


async def grow(database: Database, writer: LedgerWriter, account_id: UUID, *, events: int = 1) -> None:
    for _ in range(events):
        await writer.submit(charge(1, account_id))
    await seal_now(database)


async def seal_now(database: Database) -> None:
    async with database.connection() as connection:
        await seal(connection)


@pytest.fixture
async def account_id(database: Database, writer: LedgerWriter) -> UUID:
    """An account with two sealed events."""
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await writer.submit(top_up(1_000_000, account_id))
    await seal_now(database)
    return account_id


def as_superuser(url: str, *statements: Any) -> None:
    """Do what no application may, with the triggers off."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)


def notes_of_days(folder: Path) -> set[str]:
    return {path.read_text() for path in folder.glob("20??-??-??")}


async def test_a_checkpoint_is_signed_once_per_size_and_kept_in_files(
    database: Database, writer: LedgerWriter, account_id: UUID, tmp_path: Path
) -> None:
    publisher = Publisher(KEY, [FilePlace(tmp_path, KEY.verifier)])

    published = [await publisher.publish(database), await publisher.publish(database)]
    first = (tmp_path / "latest").read_text()
    await grow(database, writer, account_id)
    published += [await publisher.publish(database)]

    assert published == [1, 0, 1]
    assert open_checkpoint(first, [KEY.verifier]).size == 2
    latest = (tmp_path / "latest").read_text()
    assert open_checkpoint(latest, [VerifierKey.parse((tmp_path / "verifier.key").read_text())]).size == 3
    assert latest in notes_of_days(tmp_path)
    async with database.connection() as connection:
        kept = await read_latest(connection)
    assert kept is not None
    assert kept.note == latest


async def test_nothing_is_signed_while_nothing_is_sealed_or_without_a_key(
    database: Database, tmp_path: Path, account_id: UUID, superuser_url: str
) -> None:
    assert await Publisher(None, []).publish(database) == 0

    as_superuser(superuser_url, "DELETE FROM ticks WHERE number > 0", "DELETE FROM sealed")
    assert await Publisher(KEY, [FilePlace(tmp_path, KEY.verifier)]).publish(database) == 0
    assert not (tmp_path / "latest").exists()


async def test_two_publishers_at_once_sign_one_checkpoint(database: Database, account_id: UUID, tmp_path: Path) -> None:
    publishers = [Publisher(KEY, [FilePlace(tmp_path / str(number), KEY.verifier)]) for number in range(4)]

    await asyncio.gather(*[publisher.publish(database) for publisher in publishers])

    async with database.connection() as connection:
        rows = await (await connection.execute("SELECT count(*) FROM checkpoints")).fetchall()
    assert rows == [(1,)]


async def test_what_was_signed_and_not_published_is_published_by_the_next_run(
    database: Database, account_id: UUID, tmp_path: Path
) -> None:
    await Publisher(KEY, []).publish(database)

    assert await Publisher(KEY, [FilePlace(tmp_path, KEY.verifier)]).publish(database) == 1

    assert open_checkpoint((tmp_path / "latest").read_text(), [KEY.verifier]).size == 2


async def test_objects_are_locked_and_named_in_the_order_of_the_log(
    database: Database, writer: LedgerWriter, account_id: UUID, bucket: Bucket
) -> None:
    for _ in range(3):
        assert await Publisher(KEY, [BucketPlace(settings_for(bucket))]).publish(database) == 1
        await grow(database, writer, account_id)

    prefix = "holdfast/checkpoints/"
    assert sorted(bucket.objects) == [f"{prefix}{size:020d}" for size in (2, 3, 4)]
    for key, body in bucket.objects.items():
        assert open_checkpoint(body.decode(), [KEY.verifier]).size == int(key.removeprefix(prefix))
        assert bucket.locks[key] > datetime.now(UTC) + timedelta(days=3_649)


async def test_the_bucket_gets_a_checkpoint_at_most_every_few_minutes(
    database: Database, writer: LedgerWriter, account_id: UUID, bucket: Bucket, tmp_path: Path
) -> None:
    publisher = Publisher(KEY, [FilePlace(tmp_path, KEY.verifier), BucketPlace(settings_for(bucket))])

    published = [await publisher.publish(database)]
    await grow(database, writer, account_id)
    published.append(await publisher.publish(database))

    assert published == [2, 1]


async def test_a_bucket_that_is_down_holds_up_nothing_and_is_tried_again(
    database: Database, account_id: UUID, bucket: Bucket, tmp_path: Path
) -> None:
    publisher = Publisher(KEY, [BucketPlace(settings_for(bucket)), FilePlace(tmp_path, KEY.verifier)])
    bucket.down = True

    while_down = await publisher.publish(database)
    bucket.down = False
    afterwards = await publisher.publish(database)

    assert (while_down, afterwards) == (1, 1)
    assert len(bucket.objects) == 1


async def test_a_bucket_with_other_credentials_is_unreachable(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    with pytest.raises(PlaceUnreachable, match="SignatureDoesNotMatch"):
        await BucketPlace(settings_for(bucket)).latest()


@pytest.mark.parametrize("place", ["table", "file", "bucket"])
async def test_a_log_that_was_cut_back_behind_a_checkpoint_is_not_signed_again(
    database: Database,
    writer: LedgerWriter,
    account_id: UUID,
    superuser_url: str,
    bucket: Bucket,
    tmp_path: Path,
    place: str,
) -> None:
    """As after a restore of a backup, or of what an attacker left."""
    await grow(database, writer, account_id, events=3)
    places = {"table": [], "file": [FilePlace(tmp_path, KEY.verifier)], "bucket": [BucketPlace(settings_for(bucket))]}
    await Publisher(KEY, places[place]).publish(database)
    as_superuser(
        superuser_url,
        "DELETE FROM ticks WHERE number > 1",
        "DELETE FROM sealed WHERE seq > 2",
        "DELETE FROM events WHERE version > 2",
        "UPDATE accounts SET version = 2, head = events.hash, available = available_after, spent = 0"
        " FROM events WHERE events.account_id = accounts.id AND events.version = 2",
    )
    if place != "table":
        as_superuser(superuser_url, "DELETE FROM checkpoints")
    again = {"table": [], "file": [FilePlace(tmp_path, KEY.verifier)], "bucket": [BucketPlace(settings_for(bucket))]}

    with pytest.raises(LogForked):
        await Publisher(KEY, again[place]).publish(database)
    await grow(database, writer, account_id, events=5)
    with pytest.raises(LogForked):
        await Publisher(KEY, again[place]).publish(database)
    assert await Publisher(KEY, again[place]).run(database) == 0


async def test_a_published_file_that_is_no_checkpoint_is_not_built_upon(
    database: Database, account_id: UUID, tmp_path: Path
) -> None:
    (tmp_path / "latest").write_text("nonsense")

    with pytest.raises(LogForked):
        await Publisher(KEY, [FilePlace(tmp_path, KEY.verifier)]).publish(database)


async def test_a_log_beside_another_s_checkpoint_is_not_signed(
    database: Database, account_id: UUID, tmp_path: Path
) -> None:
    (tmp_path / "latest").write_text(sign(1, EMPTY_ROOT, KEY))

    with pytest.raises(LogForked):
        await Publisher(KEY, [FilePlace(tmp_path, KEY.verifier)]).publish(database)


async def test_the_lag_is_the_age_of_the_oldest_sealed_event_without_a_checkpoint(
    database: Database, writer: LedgerWriter, account_id: UUID
) -> None:
    async def lag() -> float | None:
        async with database.connection() as connection:
            return await lag_s(connection)

    assert await lag() is None
    await Publisher(KEY, []).publish(database)
    assert await lag() == 0
    await grow(database, writer, account_id)
    grown = await lag()
    assert grown is not None
    assert 0 < grown < 60


def test_the_key_of_a_data_directory_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first = signing_key({"HOLDFAST_DATA_DIR": str(tmp_path)})
    second = signing_key({"HOLDFAST_DATA_DIR": str(tmp_path)})

    assert first is not None
    assert first == second
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["signing.key"]


def test_the_key_of_the_environment_wins() -> None:
    assert signing_key({"HOLDFAST_SIGNING_KEY": KEY.text(), "HOLDFAST_DATA_DIR": "/nonexistent"}) == KEY
    assert signing_key({}) is None


def test_a_malformed_key_is_refused_without_being_shown() -> None:
    with pytest.raises(SettingsError) as refused:
        signing_key({"HOLDFAST_SIGNING_KEY": KEY.text()[:-1]})

    assert KEY.text()[20:60] not in str(refused.value)
    assert "HOLDFAST_SIGNING_KEY" in str(refused.value)


@pytest.mark.parametrize("days", ["0", "-1", "ten", "1.5", "36501"])
def test_a_retention_that_makes_no_sense_is_refused(days: str) -> None:
    with pytest.raises(SettingsError):
        BucketSettings.from_environment(
            {"HOLDFAST_CHECKPOINT_S3_BUCKET": "audit", "HOLDFAST_CHECKPOINT_S3_RETENTION_DAYS": days}
        )
