import pytest

from tests.media_files import FILES, NOT_KEPT, flac, mp4, picture, png, wav
from workers.media.measuring import Measures, measure
from workers.media.store import content_disposition
from workers.media.types import HEAD_BYTES, KIND_OF_TYPE, Limits, canonical_type, extension_of, settle_type, sniff


@pytest.mark.parametrize("media_type", FILES)
def test_every_type_that_is_kept_is_told_by_its_first_bytes(media_type: str) -> None:
    assert media_type in sniff(FILES[media_type][:HEAD_BYTES])
    assert settle_type(FILES[media_type], media_type) == media_type


def test_there_is_a_file_of_every_type_that_is_kept() -> None:
    assert set(FILES) == set(KIND_OF_TYPE)


@pytest.mark.parametrize("name", NOT_KEPT)
def test_what_is_no_picture_sound_or_film_is_not_kept_whatever_it_is_called(name: str) -> None:
    assert all(settle_type(NOT_KEPT[name], declared) is None for declared in (*KIND_OF_TYPE, "image/svg+xml"))


@pytest.mark.parametrize("declared", ["image/jpeg", "image/svg+xml", "text/html", ""])
def test_the_bytes_decide_where_they_say_something_else_than_the_declaration(declared: str) -> None:
    assert settle_type(png(), declared) == "image/png"


def test_a_container_for_both_is_sound_or_film_as_declared_or_as_its_kind() -> None:
    assert settle_type(mp4(), "audio/mp4") == "audio/mp4"
    assert settle_type(mp4(), "audio/mpeg", kind="audio") == "audio/mp4"
    assert settle_type(mp4(b"M4A "), "audio/mpeg") == "audio/mp4"
    assert settle_type(FILES["video/webm"], "") == "video/webm"


def test_a_file_of_another_kind_is_none() -> None:
    assert settle_type(png(), "video/mp4", kind="video") is None


@pytest.mark.parametrize(
    ("declared", "known"),
    [
        ("image/PNG; charset=x", "image/png"),
        ("image/jpg", "image/jpeg"),
        ("audio/mp3", "audio/mpeg"),
        ("audio/x-wav", "audio/wav"),
        ("image/svg+xml", None),
        ("text/html", None),
        ("", None),
    ],
)
def test_a_type_has_one_name_here(declared: str, known: str | None) -> None:
    assert canonical_type(declared) == known


@pytest.mark.parametrize(
    ("media_type", "content", "measures"),
    [
        ("image/png", png(30, 20), Measures(width=30, height=20)),
        ("image/jpeg", picture("JPEG", 30, 20), Measures(width=30, height=20)),
        ("image/gif", picture("GIF", 30, 20), Measures(width=30, height=20)),
        ("image/webp", picture("WEBP", 30, 20), Measures(width=30, height=20)),
        ("audio/wav", wav(1_250), Measures(duration_ms=1_250)),
        ("audio/flac", flac(1_250), Measures(duration_ms=1_250)),
        ("video/mp4", mp4(duration_ms=1_250), Measures(width=64, height=36, duration_ms=1_250)),
        ("video/webm", FILES["video/webm"], Measures()),
    ],
)
def test_measures_are_read_where_the_first_bytes_have_them(media_type: str, content: bytes, measures: Measures) -> None:
    assert measure(media_type, content) == measures


@pytest.mark.parametrize("media_type", FILES)
def test_a_file_that_is_cut_short_anywhere_has_no_measures_or_the_right_ones(media_type: str) -> None:
    content = FILES[media_type]
    whole = measure(media_type, content)

    for length in range(min(len(content), 600)):
        found = measure(media_type, content[:length])
        assert found.width in {None, whole.width}
        assert found.duration_ms in {None, whole.duration_ms}


def test_measures_that_cannot_be_are_not_believed() -> None:
    header = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR"

    assert measure("image/png", header + b"\xff" * 8) == Measures()
    assert measure("image/png", header + bytes(8)) == Measures()


def test_a_file_of_each_type_has_a_name_that_cannot_break_out_of_its_header() -> None:
    assert content_disposition("image/jpeg", None) == 'inline; filename="media.jpg"'
    assert content_disposition("image/png", 'a"\r\nSet-Cookie: x') == 'inline; filename="a___Set-Cookie__x"'
    assert content_disposition("text/html", "x.html") == 'attachment; filename="x.html"'
    assert {extension_of(name) for name in ("video/quicktime", "audio/wav")} == {"mov", "wav"}


def test_each_kind_has_a_limit_of_its_own() -> None:
    limits = Limits(image=1, audio=2, video=3)

    assert [limits.of("image"), limits.of("audio"), limits.of("video")] == [1, 2, 3]
