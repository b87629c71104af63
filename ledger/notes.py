"""Signed notes (https://c2sp.org/signed-note) with Ed25519 keys: text, an empty line, and signatures naming their keys.

Keys are written as the Go tools write them: `<name>+<id>+<key>` to verify, `PRIVATE+KEY+<name>+<id>+<key>` to sign.
"""

import base64
import binascii
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519: Final = b"\x01"
KEY_BYTES: Final = 32
ID_BYTES: Final = 4
MAX_NOTE_CHARACTERS: Final = 100_000

_PRIVATE: Final = "PRIVATE+KEY+"
_DASH: Final = "\N{EM DASH} "


class KeyInvalid(Exception):
    """A text is not the key it should be. The message never has the key in it."""


class NoteRejected(Exception):
    """A note is malformed, or no key that is trusted signed it."""


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key and the name it signs under. Its text form may be published."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a verifier key.

        Raises:
            KeyInvalid: it is malformed, not for Ed25519, or its id is not its own.
        """
        name, key_id, material = _split_key(text)
        key = cls(name, material)
        if key.id != key_id:
            raise KeyInvalid("the id in the verifier key is not that of the key")
        return key

    @property
    def id(self) -> bytes:
        """The four bytes by which signatures name the key."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(ED25519 + self.public)}"

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether this key made the signature over this text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class SigningKey(msgspec.Struct, frozen=True):
    """A private key and the name it signs under. Shows nothing of itself but when asked for its text form."""

    name: str
    secret: bytes

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """Make a new key.

        Raises:
            KeyInvalid: the name is empty, or has spaces or a plus in it.
        """
        _check_name(name)
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read a signing key.

        Raises:
            KeyInvalid: it is malformed, not for Ed25519, or its id is not its own.
        """
        if not text.strip().startswith(_PRIVATE):
            raise KeyInvalid(f"a signing key begins with {_PRIVATE}")
        name, key_id, material = _split_key(text.strip().removeprefix(_PRIVATE))
        key = cls(name, material)
        if key.verifier.id != key_id:
            raise KeyInvalid("the id in the signing key is not that of the key")
        return key

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, self._private().public_key().public_bytes_raw())

    def text(self) -> str:
        """Return the key as it is kept. Whoever has this can sign."""
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{_base64(ED25519 + self.secret)}"

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r})"

    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.secret)

    def sign(self, text: str) -> str:
        """Return the text, which ends in a newline, as a signed note."""
        assert text.endswith("\n"), "the text of a note ends in a newline"
        signature = self.verifier.id + self._private().sign(text.encode())
        return f"{text}\n{_DASH}{self.name} {_base64(signature)}\n"


def open_note(note: str, trusted: Iterable[VerifierKey]) -> str:
    """Return the text of a note that a trusted key signed; signatures of others are ignored.

    Raises:
        NoteRejected: it is malformed, a signature of a trusted key is wrong, or there is none.
    """
    text, lines = _split_note(note)
    keys = {(key.name, key.id): key for key in trusted}
    signed = False
    for line in lines:
        name, signature = _parse_signature(line)
        key = keys.get((name, signature[:ID_BYTES]))
        if key is None:
            continue
        if not key.verifies(text, signature[ID_BYTES:]):
            raise NoteRejected(f"the signature of {name} is wrong")
        signed = True
    if not signed:
        raise NoteRejected("no trusted key signed this note")
    return text


def text_of(note: str) -> str:
    """Return the text of a note whoever signed it: nothing in it is to be believed.

    Raises:
        NoteRejected: it is malformed.
    """
    return _split_note(note)[0]


def _split_note(note: str) -> tuple[str, list[str]]:
    if len(note) > MAX_NOTE_CHARACTERS or any(character < " " and character != "\n" for character in note):
        raise NoteRejected("this is too long for a note, or has control characters in it")
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n"):
        raise NoteRejected("this is not a signed note")
    return text + "\n", signatures[:-1].split("\n")


def _parse_signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        signature = b""
    if not line.startswith(_DASH) or not name or len(signature) <= ID_BYTES:
        raise NoteRejected("a signature of the note is malformed")
    return name, signature


def _split_key(text: str) -> tuple[str, bytes, bytes]:
    name, key_id, encoded = (*text.strip().split("+", 2), "", "")[:3]
    _check_name(name)
    try:
        decoded, parsed_id = base64.b64decode(encoded, validate=True), bytes.fromhex(key_id)
    except (binascii.Error, ValueError):
        raise KeyInvalid("the key is malformed") from None
    if decoded[:1] != ED25519 or len(decoded) != 1 + KEY_BYTES:
        raise KeyInvalid("the key is not an Ed25519 key")
    return name, parsed_id, decoded[1:]


def _check_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise KeyInvalid("the name of a key is not empty and has neither spaces nor a plus")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
