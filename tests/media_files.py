"""Small files of every type that is kept, and files that are none of them."""

import io
import struct
import wave
import zlib

from PIL import Image


def png(width: int = 3, height: int = 2, *, padding: int = 0) -> bytes:
    """A picture; `padding` makes the file that much longer without changing the picture."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "PNG")
    picture = out.getvalue()
    if not padding:
        return picture
    body = b"paDd" + bytes(padding)
    chunk = struct.pack(">I", padding) + body + struct.pack(">I", zlib.crc32(body))
    return picture[:-12] + chunk + picture[-12:]


def picture(form: str, width: int = 3, height: int = 2) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(out, form)
    return out.getvalue()


def wav(duration_ms: int = 250) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(8_000)
        recording.writeframes(bytes(2 * 8 * duration_ms))
    return out.getvalue()


def flac(duration_ms: int = 250) -> bytes:
    rate, samples = 8_000, 8 * duration_ms
    packed = (rate << 44 | 15 << 36 | samples).to_bytes(8, "big")
    return b"fLaC\x80\x00\x00\x22" + bytes(10) + packed + bytes(16)


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def mp4(
    brand: bytes = b"isom", *, duration_ms: int = 1_500, width: int = 64, height: int = 36, size_bytes: int = 0
) -> bytes:
    """The skeleton of a film; filled up to so many bytes."""
    header = bytes(12) + struct.pack(">II", 1_000, duration_ms) + bytes(80)
    sound = _box(b"trak", _box(b"tkhd", bytes(84)))
    sight = _box(b"trak", _box(b"tkhd", bytes(76) + struct.pack(">II", width << 16, height << 16)))
    whole = _box(b"ftyp", brand + bytes(8)) + _box(b"moov", _box(b"mvhd", header) + sound + sight)
    return whole + _box(b"mdat", bytes(max(0, size_bytes - len(whole) - 8)))


FILES = {
    "image/png": png(),
    "image/jpeg": picture("JPEG"),
    "image/webp": picture("WEBP"),
    "image/gif": picture("GIF"),
    "audio/mpeg": b"ID3\x04" + bytes(60),
    "audio/wav": wav(),
    "audio/ogg": b"OggS" + bytes(60),
    "audio/flac": flac(),
    "audio/aac": b"\xff\xf1\x50\x80" + bytes(60),
    "audio/mp4": mp4(b"M4A "),
    "audio/webm": b"\x1aE\xdf\xa3\x9fB\x82\x84webm" + bytes(60),
    "video/mp4": mp4(),
    "video/webm": b"\x1aE\xdf\xa3\x9fB\x82\x84webm" + bytes(60),
    "video/quicktime": mp4(b"qt  "),
}

NOT_KEPT = {
    "nothing": b"",
    "text": b"hello, world",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "html": b"<!doctype html><script>alert(1)</script>",
    "pdf": b"%PDF-1.7\n",
    "zip": b"PK\x03\x04" + bytes(30),
    "executable": b"\x7fELF" + bytes(30),
    "avif": b"\x00\x00\x00\x1cftypavif" + bytes(30),
    "matroska": b"\x1aE\xdf\xa3\xa3B\x82\x88matroska" + bytes(60),
    "frame of another layer": b"\xff\xfd\x90\x00" + bytes(30),
    "half a frame": b"\xff\xfb",
    "riff of another kind": b"RIFF\x00\x00\x00\x00AVI " + bytes(30),
}
