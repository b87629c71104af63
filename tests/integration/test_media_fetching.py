"""Fetching results from servers that lead elsewhere, lie, stall and break."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fakes.scripted_server import Answer, Cut, Hang, Repeat, ScriptedServer
from tests.media_files import mp4, png
from tests.media_stores import content_of, local_environment, opened, result
from tests.waiting import eventually
from workers.media import copying
from workers.media.addresses import Address
from workers.media.copying import ATTEMPTS, copy_result
from workers.media.failures import MediaFailure, MediaLost, MediaRefused, MediaUnavailable
from workers.media.fetching import Fetcher, FetchTimeouts
from workers.media.opening import Media
from workers.media.settings import HostAndPort, MediaSettings

KEY = "account/media"
PUBLIC = ipaddress.ip_address("93.184.215.14")
PRIVATE = ipaddress.ip_address("10.0.0.1")
HOSTS = {"replicate": ("replicate.delivery", "*.replicate.delivery")}
LIMIT = 1_000_000


class Names:
    """A resolver that answers by script, and remembers what it was asked."""

    def __init__(self, *answers: Sequence[Address]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        if not self.answers:
            raise OSError("no such host")
        return self.answers.pop(0)


class Recorder(httpx.AsyncBaseTransport):
    """Answers without a network, and remembers where it was asked to connect to."""

    def __init__(self, *answers: httpx.Response | httpx.HTTPError) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    @property
    def connected_to(self) -> list[str]:
        return [request.url.host for request in self.requests]


class PublicBytes(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield png()


def picture(**headers: str) -> httpx.Response:
    return httpx.Response(200, headers=headers, stream=PublicBytes())


def redirect(location: str, status: int = 302) -> httpx.Response:
    return httpx.Response(status, headers={"location": location}, stream=PublicBytes())


async def fetched(
    url: str, names: Names, transport: httpx.AsyncBaseTransport | None = None, *, provider: str = "replicate"
) -> bytes:
    settings = MediaSettings(hosts=HOSTS)
    async with (
        Fetcher(settings, resolver=names, transport=transport) as fetcher,
        fetcher.fetching(url, provider=provider, limit_bytes=LIMIT) as source,
    ):
        return b"".join([piece async for piece in source.pieces])


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as running:
        yield running


@pytest.fixture
async def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Media]:
    monkeypatch.setattr(copying, "PAUSE_S", 0.001)
    async with opened(local_environment(tmp_path, HOLDFAST_MEDIA_MAX_IMAGE_BYTES=str(LIMIT))) as media:
        yield media


async def copied(media: Media, url: str, *, timeouts: FetchTimeouts | None = None) -> bytes:
    """What is in the store after copying from there."""
    async with Fetcher(media.settings, timeouts=timeouts) as fetcher:
        await copy_result(
            result(url=url),
            store=media.store,
            key=KEY,
            fetcher=fetcher,
            provider="replicate",
            limits=media.settings.limits,
        )
    return await content_of(media.store, KEY)


def whole(content: bytes) -> Answer:
    return Answer(steps=(content,))


async def test_we_connect_to_the_very_address_that_was_checked_in_the_name_of_the_host() -> None:
    names, transport = Names([PUBLIC], [PRIVATE]), Recorder(picture())

    assert await fetched("https://pbxt.replicate.delivery/a/b.png?x=1", names, transport) == png()

    (request,) = transport.requests
    assert str(request.url) == f"https://{PUBLIC}/a/b.png?x=1"
    assert request.headers["host"] == "pbxt.replicate.delivery"
    assert request.extensions["sni_hostname"] == "pbxt.replicate.delivery"
    assert names.asked == ["pbxt.replicate.delivery"], "asked again, the name would have led inside"


async def test_a_name_that_changes_between_two_attempts_is_checked_again(media: Media) -> None:
    names, transport = Names([PUBLIC], [PRIVATE]), Recorder(httpx.Response(500, stream=PublicBytes()))
    settings = MediaSettings(hosts=HOSTS)

    async with Fetcher(settings, resolver=names, transport=transport) as fetcher:
        with pytest.raises(MediaRefused, match="not public"):
            await copy_result(
                result(url="https://replicate.delivery/x"),
                store=media.store,
                key=KEY,
                fetcher=fetcher,
                provider="replicate",
                limits=settings.limits,
            )

    assert transport.connected_to == [str(PUBLIC)]


@pytest.mark.parametrize(
    "addresses",
    [[PRIVATE], [PUBLIC, PRIVATE], [ipaddress.ip_address("::ffff:10.0.0.1")], [ipaddress.ip_address("fe80::1")]],
    ids=str,
)
async def test_a_host_with_an_address_that_is_not_public_is_refused(addresses: list[Address]) -> None:
    transport = Recorder()

    with pytest.raises(MediaRefused, match="not public"):
        await fetched("https://replicate.delivery/x", Names(addresses), transport)

    assert not transport.requests


@pytest.mark.parametrize(
    "url",
    [
        "http://replicate.delivery/x",
        "https://replicate.delivery:8443/x",
        "https://user@replicate.delivery/x",
        "https://user:password@replicate.delivery/x",
        "https://replicate.delivery.evil.test/x",
        "https://evilreplicate.delivery/x",
        "https://fal.media/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://localhost/x",
        "https://replicate.delivery\\@127.0.0.1/x",
        "https://replicate.delivery /x",
        "https://replicate.delivery/\r\nHost: x",
        "https://replicate.delivery:99999/x",
        "https://[::1/x",
        "https://r\u0435plicate.delivery/x",
        "https:///x",
        "ftp://replicate.delivery/x",
        "file:///etc/passwd",
        "gopher://replicate.delivery/x",
        "//replicate.delivery/x",
        "/x",
        "",
        "https://replicate.delivery/" + "x" * 9_000,
    ],
)
async def test_a_url_that_is_not_one_of_the_providers_results_is_refused_unseen(url: str) -> None:
    names, transport = Names(), Recorder()

    with pytest.raises(MediaRefused):
        await fetched(url, names, transport)

    assert not names.asked
    assert not transport.requests


async def test_the_host_of_one_provider_is_not_that_of_another() -> None:
    with pytest.raises(MediaRefused):
        await fetched("https://replicate.delivery/x", Names([PUBLIC]), Recorder(), provider="fal")


@pytest.mark.parametrize(
    ("location", "second"),
    [
        ("https://a.replicate.delivery/x", [PRIVATE]),
        ("http://a.replicate.delivery/x", [PUBLIC]),
        ("https://169.254.169.254/latest/meta-data", [PUBLIC]),
        ("https://evil.test/x", [PUBLIC]),
        ("//evil.test/x", [PUBLIC]),
        ("file:///etc/passwd", [PUBLIC]),
        ("https://[::ffff:127.0.0.1]/", [PUBLIC]),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_looked_at_like_the_first_url(location: str, second: list[Address], status: int) -> None:
    transport = Recorder(redirect(location, status))

    with pytest.raises(MediaRefused):
        await fetched("https://replicate.delivery/x", Names([PUBLIC], second), transport)

    assert transport.connected_to == [str(PUBLIC)]


async def test_three_redirects_are_followed_and_four_are_not() -> None:
    moved = redirect("/moved")

    assert (
        await fetched("https://replicate.delivery/x", Names(*[[PUBLIC]] * 4), Recorder(moved, moved, moved, picture()))
        == png()
    )
    with pytest.raises(MediaRefused, match="redirects"):
        await fetched("https://replicate.delivery/x", Names(*[[PUBLIC]] * 5), Recorder(moved, moved, moved, moved))


async def test_no_cookie_is_kept_for_the_next_request() -> None:
    setting = httpx.Response(302, headers={"location": "/y", "set-cookie": "a=b; Path=/"}, stream=PublicBytes())
    transport = Recorder(setting, picture())

    await fetched("https://replicate.delivery/x", Names([PUBLIC], [PUBLIC]), transport)

    assert "cookie" not in transport.requests[1].headers


async def test_the_next_address_is_asked_where_the_first_cannot_be_connected_to() -> None:
    other = ipaddress.ip_address("2606:4700::1111")
    transport = Recorder(httpx.ConnectError("refused"), picture())

    await fetched("https://replicate.delivery/x", Names([PUBLIC, other]), transport)

    assert transport.connected_to == [str(PUBLIC), str(other)]


async def test_a_name_that_cannot_be_resolved_may_be_tried_again() -> None:
    for names in (Names(), Names([])):
        with pytest.raises(MediaUnavailable):
            await fetched("https://replicate.delivery/x", names, Recorder())
    with pytest.raises(MediaUnavailable):
        await fetched("https://replicate.delivery/x", Names([PUBLIC]), Recorder(httpx.ConnectTimeout("slow")))


async def test_a_compressed_answer_is_refused_because_it_may_be_a_bomb() -> None:
    with pytest.raises(MediaRefused, match="compressed"):
        await fetched(
            "https://replicate.delivery/x", Names([PUBLIC]), Recorder(picture(**{"content-encoding": "gzip"}))
        )


async def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    authority, served = certificate_for("files.test", tmp_path)
    async with ScriptedTls(served) as server:
        settings = MediaSettings(allowed_hosts=(HostAndPort("files.test", None), HostAndPort("other.test", None)))
        for host, is_good in (("files.test", True), ("other.test", False)):
            names = Names([ipaddress.ip_address("127.0.0.1")])
            transport = httpx.AsyncHTTPTransport(verify=authority, trust_env=False)
            async with Fetcher(settings, resolver=names, transport=transport) as fetcher:
                fetching = fetcher.fetching(f"https://{host}:{server.port}/x", provider="replicate", limit_bytes=LIMIT)
                if is_good:
                    async with fetching as source:
                        assert b"".join([piece async for piece in source.pieces]) == png()
                else:
                    with pytest.raises(MediaUnavailable, match="unavailable"):
                        await fetching.__aenter__()


async def test_a_redirect_from_a_host_that_is_let_in_to_another_port_of_it_is_refused(
    server: ScriptedServer,
) -> None:
    async with ScriptedServer() as inside:
        port = int(server.url.rpartition(":")[2])
        settings = MediaSettings(allowed_hosts=(HostAndPort("127.0.0.1", port),))
        server.script(Answer(302, {"location": f"{inside.url}/secret"}))
        async with Fetcher(settings) as fetcher:
            with pytest.raises(MediaRefused):
                await fetcher.fetching(f"{server.url}/x", provider="replicate", limit_bytes=LIMIT).__aenter__()

        assert not inside.calls


async def test_a_result_is_copied_as_it_is(server: ScriptedServer, media: Media) -> None:
    content = png(padding=300_000)
    server.script(Answer(302, {"location": "/there"}), whole(content))

    assert await copied(media, f"{server.url}/x") == content
    assert [call.path for call in server.calls] == ["/x", "/there"]
    assert server.calls[1].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_result_that_is_gone_is_asked_for_once(server: ScriptedServer, media: Media, status: int) -> None:
    server.script(Answer(status))

    with pytest.raises(MediaLost) as lost:
        await copied(media, f"{server.url}/x")

    assert lost.value.code == "media_expired"
    assert len(server.calls) == 1


@pytest.mark.parametrize("status", [204, 206, 304, 400, 451])
async def test_a_strange_answer_is_refused_at_once(server: ScriptedServer, media: Media, status: int) -> None:
    server.script(Answer(status))

    with pytest.raises(MediaRefused):
        await copied(media, f"{server.url}/x")

    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "broken",
    [
        Answer(500),
        Answer(503),
        Answer(429),
        Answer(steps=(png(padding=200_000)[:100_000],), ends_cleanly=False),
        Answer(steps=(png(padding=200_000)[:100_000], Cut())),
        Answer(steps=(Cut(),), has_head=False),
    ],
    ids=["500", "503", "429", "truncated", "cut", "no answer"],
)
async def test_what_broke_is_copied_again_from_the_beginning(
    server: ScriptedServer, media: Media, broken: Answer
) -> None:
    content = png(padding=200_000)
    server.script(broken, broken, whole(content))

    assert await copied(media, f"{server.url}/x") == content
    assert len(server.calls) == 3


async def test_a_result_that_never_arrives_is_given_up_and_leaves_nothing(server: ScriptedServer, media: Media) -> None:
    server.script(*[Answer(500)] * (ATTEMPTS + 1))

    with pytest.raises(MediaUnavailable):
        await copied(media, f"{server.url}/x")

    assert len(server.calls) == ATTEMPTS
    assert await media.store.head(KEY) is None


@pytest.mark.parametrize(
    ("timeouts", "answer"),
    [
        (FetchTimeouts(gap_s=0.1), Answer(steps=(png(), Hang()))),
        (FetchTimeouts(gap_s=0.1), Answer(steps=(Hang(),), has_head=False)),
        (FetchTimeouts(total_s=0.2), Answer(steps=(png(padding=200_000), Repeat(b"x", 0.01)))),
    ],
    ids=["silence", "no answer", "trickle"],
)
async def test_a_server_that_stalls_or_trickles_is_not_waited_for(
    server: ScriptedServer, media: Media, timeouts: FetchTimeouts, answer: Answer
) -> None:
    server.script(*[answer] * ATTEMPTS)

    with pytest.raises(MediaUnavailable):
        await copied(media, f"{server.url}/x", timeouts=timeouts)

    # The last may have been given up before the server came to read it.
    await eventually(lambda: len(server.calls) >= ATTEMPTS)
    assert len(server.calls) == ATTEMPTS


@pytest.mark.parametrize(
    "answer",
    [
        Answer(steps=(png(padding=900_000), bytes(200_000))),
        Answer(headers={"content-length": str(LIMIT + 1)}, steps=(png(),)),
        whole(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        whole(b"<!doctype html>"),
        whole(b""),
        whole(mp4()),
    ],
    ids=["too large", "says it is too large", "svg", "html", "empty", "a film"],
)
async def test_what_is_too_large_or_no_picture_is_not_kept(
    server: ScriptedServer, media: Media, answer: Answer
) -> None:
    server.script(answer)

    with pytest.raises(MediaFailure) as refused:
        await copied(media, f"{server.url}/x")

    assert refused.value.code in {"media_refused", "media_unavailable"}
    assert await media.store.head(KEY) is None


class ScriptedTls:
    """Serves one picture over TLS again and again."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = png()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


def certificate_for(host: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A context that trusts a new certificate of this host, and one that serves it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    return ssl.create_default_context(cafile=str(pem)), serving
