import stat
import threading
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from workers.media.bucket import BucketStore
from workers.media.errors import UrlNotValid
from workers.media.local import LocalStore
from workers.media.opening import open_media
from workers.media.settings import DEFAULT_HOSTS, HostAndPort, MediaSettings
from workers.media.signing import Grant, UrlSigner, url_signer
from workers.settings import SettingsError

SECRET = "s" * 40


def test_without_any_setting_the_defaults_hold() -> None:
    settings = MediaSettings.from_environment({})

    assert settings.hosts == DEFAULT_HOSTS
    assert (settings.transfer_grace_s, settings.free_days, settings.folder) == (60.0, 30, None)
    assert not settings.allowed_hosts


def test_every_setting_is_read() -> None:
    settings = MediaSettings.from_environment(
        {
            "HOLDFAST_MEDIA_BUCKET": "b",
            "HOLDFAST_MEDIA_ENDPOINT": "https://r2.example",
            "HOLDFAST_MEDIA_REGION": "auto",
            "HOLDFAST_MEDIA_PREFIX": "media/",
            "HOLDFAST_MEDIA_HOSTS": "replicate=a.test,*.B.test mine=c.test",
            "HOLDFAST_MEDIA_ALLOW_HOSTS": "127.0.0.1:9000, [::1]:9000,minio.internal",
            "HOLDFAST_TRANSFER_GRACE_S": "0",
            "HOLDFAST_MEDIA_FREE_DAYS": "7",
            "HOLDFAST_MEDIA_MAX_IMAGE_BYTES": "1000",
        }
    )

    assert (settings.bucket, settings.endpoint_url, settings.region) == ("b", "https://r2.example", "auto")
    assert settings.hosts["replicate"] == ("a.test", "*.b.test")
    assert settings.hosts["fal"] == DEFAULT_HOSTS["fal"]
    assert settings.hosts["mine"] == ("c.test",)
    assert settings.allowed_hosts == (
        HostAndPort("127.0.0.1", 9000), HostAndPort("::1", 9000), HostAndPort("minio.internal", None),
    )  # fmt: skip
    assert (settings.transfer_grace_s, settings.free_days, settings.limits.image) == (0.0, 7, 1_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOLDFAST_MEDIA_HOSTS", "replicate"),
        ("HOLDFAST_MEDIA_HOSTS", "=x"),
        ("HOLDFAST_MEDIA_ALLOW_HOSTS", "http://x"),
        ("HOLDFAST_MEDIA_ALLOW_HOSTS", "x:port"),
        ("HOLDFAST_MEDIA_ALLOW_HOSTS", "user@x"),
        ("HOLDFAST_MEDIA_ALLOW_HOSTS", "[::1"),
        ("HOLDFAST_TRANSFER_GRACE_S", "-1"),
        ("HOLDFAST_TRANSFER_GRACE_S", "nan"),
        ("HOLDFAST_TRANSFER_GRACE_S", "soon"),
        ("HOLDFAST_MEDIA_FREE_DAYS", "0"),
        ("HOLDFAST_MEDIA_MAX_VIDEO_BYTES", str(5 * 1024**3 + 1)),
        ("HOLDFAST_MEDIA_MAX_AUDIO_BYTES", "many"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        MediaSettings.from_environment({name: value})


def test_a_bucket_comes_before_a_folder(tmp_path: Path) -> None:
    folder = {"HOLDFAST_DATA_DIR": str(tmp_path)}

    assert isinstance(open_media({**folder, "HOLDFAST_MEDIA_BUCKET": "b"}).store, BucketStore)
    assert isinstance(open_media(folder).store, LocalStore)


@pytest.mark.parametrize(
    ("environment", "is_reachable"),
    [
        ({"HOLDFAST_MEDIA_BUCKET": "b"}, True),
        ({"HOLDFAST_MEDIA_BUCKET": "b", "HOLDFAST_MEDIA_ENDPOINT": "https://r2.example"}, True),
        ({"HOLDFAST_MEDIA_BUCKET": "b", "HOLDFAST_MEDIA_ENDPOINT": "http://127.0.0.1:9000"}, False),
        ({"HOLDFAST_PUBLIC_URL": "https://api.example"}, True),
        ({"HOLDFAST_PUBLIC_URL": "http://127.0.0.1:8000"}, False),
        ({}, False),
    ],
)
def test_a_store_can_be_reached_from_outside_where_it_has_tls(
    environment: dict[str, str], is_reachable: bool, tmp_path: Path
) -> None:
    assert open_media({"HOLDFAST_DATA_DIR": str(tmp_path), **environment}).store.is_reachable is is_reachable


def test_the_key_of_a_folder_is_made_once_and_private_even_by_many_at_once(tmp_path: Path) -> None:
    settings = MediaSettings.from_environment({"HOLDFAST_DATA_DIR": str(tmp_path / "new")})
    grant = Grant(method="GET", key="k", expires_at_s=2**33, media_type="image/png")
    urls: list[str] = []
    threads = [
        threading.Thread(target=lambda: urls.append(url_signer(settings).sign(grant, headers={}).url)) for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(urls) == 8
    assert len(set(urls)) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["media.key"]
    assert stat.S_IMODE((tmp_path / "new" / "media.key").stat().st_mode) == 0o600


def test_a_short_key_is_refused_without_being_told() -> None:
    with pytest.raises(SettingsError) as refused:
        open_media({"HOLDFAST_MEDIA_DIR": "/nonexistent", "HOLDFAST_MEDIA_KEY": "hunter2"})

    assert "hunter2" not in str(refused.value)


def test_a_url_allows_what_was_signed_until_its_time_is_over() -> None:
    signer = UrlSigner(SECRET, base_url="")
    now_s = int(time.time())
    good = Grant(method="PUT", key="a/b", expires_at_s=now_s + 60, media_type="image/png", size_bytes=9)
    late = Grant(method="PUT", key="a/b", expires_at_s=now_s - 1, media_type="image/png", size_bytes=9)

    assert signer.check("PUT", "a/b", query_of(signer, good)) == good
    with pytest.raises(UrlNotValid):
        signer.check("PUT", "a/b", query_of(signer, late))
    with pytest.raises(UrlNotValid):
        UrlSigner("t" * 40, base_url="").check("PUT", "a/b", query_of(signer, good))


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "99999999999"}, {"type": "text/html"}, {"size": "10"}, {"filename": "x"}, {"signature": ""},
        {"signature": "0" * 64}, {"signature": "é"}, {"expires": ""}, {"expires": "٣"}, {"size": "-9"},
        {"expires": "9" * 99},
    ],
)  # fmt: skip
def test_a_url_in_which_anything_was_changed_is_not_valid(change: dict[str, str]) -> None:
    signer = UrlSigner(SECRET, base_url="")
    grant = Grant(method="PUT", key="a/b", expires_at_s=int(time.time()) + 60, media_type="image/png", size_bytes=9)

    with pytest.raises(UrlNotValid):
        signer.check("PUT", "a/b", {**query_of(signer, grant), **change})
    for method, key in (("GET", "a/b"), ("PUT", "a/c")):
        with pytest.raises(UrlNotValid):
            signer.check(method, key, query_of(signer, grant))


def query_of(signer: UrlSigner, grant: Grant) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(signer.sign(grant, headers={}).url).query))
