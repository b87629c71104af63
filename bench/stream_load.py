"""Many readers of many streams, cheap enough to share two cores with the platform they measure."""

import asyncio
import json
import re
import resource
from pathlib import Path
from typing import Final

from uuid_utils.compat import uuid7

from bench.platform import Platform
from bench.wire import Connection, Stream, request
from workers.streams.terminal import text_sha256
from workers.streams.wire import stream_key

OPEN_FILES: Final = 65_536
CONNECTS_AT_ONCE: Final = 32
LAST_CHUNKS: Final = 4

_ID: Final = re.compile(rb"^id: (\d+)\.(\d+)$", re.MULTILINE)
_DATA: Final = re.compile(rb"^data: (.*)$", re.MULTILINE)


def allow_files(count: int) -> str:
    """Raise the limit of open files, which children inherit, as far as allowed; say so if that is below `count`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return "" if wanted >= count else f"only {wanted} open files are allowed, {count} are needed"


async def top_up(platform: Platform) -> None:
    """Give the demo account what any run may cost."""
    async with platform.client() as client:
        path = f"/v1/accounts/{platform.demo_account_id}/top-ups"
        # Paid for, so that all of a worker's places are there for it.
        body = {"amount": "1000000", "paid": {"amount": "1000", "currency": "EUR"}}
        answer = await client.post(path, json=body, headers={"Idempotency-Key": "bench"})
        answer.raise_for_status()


def generation(platform: Platform, prompt: str, delay_ms: int) -> bytes:
    """Render the request that starts an echo of this prompt, a word every `delay_ms`."""
    body = json.dumps({"model": "echo", "input": {"prompt": prompt, "delay_ms": delay_ms}}).encode()
    headers = f"Idempotency-Key: {uuid7()}\r\n"
    return request("POST", "/v1/generations", key=platform.demo_key, body=body, headers=headers)


async def start(platform: Platform, wire: Connection, prompt: str, delay_ms: int) -> tuple[str, bytes]:
    """Start a generation; return its id and the request that reads its stream."""
    status, body = await wire.ask(generation(platform, prompt, delay_ms))
    assert status == 202, body
    answer = json.loads(body)
    return answer["id"], request("GET", answer["events_url"], key=platform.demo_key)


async def read_all(platform: Platform, requests: list[bytes], *, kind: type[Stream] = Stream) -> list[Stream]:
    """Open one connection per request."""
    gate = asyncio.Semaphore(CONNECTS_AT_ONCE)

    async def read(one: bytes) -> Stream:
        async with gate:
            return await kind.open(platform.host, platform.port, one)

    return list(await asyncio.gather(*map(read, requests)))


def is_complete(stream: Stream, prompt: str) -> bool:
    """Whether the stream ended with the text of the prompt, and its `end` names that text."""
    text = ""
    for _, frame in stream.events():
        data = _DATA.search(frame)
        if data is None:
            continue
        fields = json.loads(data[1])
        if b"event: snapshot" in frame:
            text = fields["text"]
        elif b"event: delta" in frame:
            text += fields["text"]
        elif b"event: end" in frame:
            return text == prompt and fields["text_sha256"] == text_sha256(text)
    return False


def deltas(generation_id: str, stream: Stream) -> list[tuple[str, str, float]]:
    """Return key and id in Redis of every delta that came, and when it came."""
    found: list[tuple[str, str, float]] = []
    for moment, frame in stream.events():
        event_id = _ID.search(frame)
        if event_id is not None and b"event: delta" in frame:
            epoch, seq = int(event_id[1]), int(event_id[2])
            found.append((stream_key(generation_id), f"{epoch}-{2 * seq}", moment))
    return found


def resident_bytes(process_id: int) -> int:
    """Return how much memory a process has."""
    pages = Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def cpu_s(process_id: int) -> float:
    """Return how much processor time a process has used."""
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def child_of(process_id: int, words: str) -> int:
    """Return the id of the process below this one whose command line holds these words."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if parent == process_id and words in command:
            return int(stat.parent.name)
    raise LookupError(f"no process {words!r} below {process_id}")


class Watcher(Stream):
    """A reader of whom only the end of what came is kept."""

    def data_received(self, data: bytes) -> None:
        """Take what came, and forget what came long before."""
        del self.chunks[:-LAST_CHUNKS]
        super().data_received(data)

    @property
    def has_end(self) -> bool:
        """Whether the last bytes were those of an `end`."""
        return any(b"event: end" in data for _, data in self.chunks)
