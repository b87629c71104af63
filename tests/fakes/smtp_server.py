"""A mail server on a real socket that takes mail, refuses, is slow, or goes away when it hurts most."""

import asyncio
import contextlib
import datetime as dt
import ssl
import tempfile
from base64 import b64decode
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


@dataclass
class TakenMail:
    """A mail that the server has, and how it came."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    raw: bytes
    encrypted: bool
    user: str | None


@dataclass
class SmtpServer:
    """What the server does next, and what it has seen."""

    port: int = 0
    users: dict[str, str] = field(default_factory=dict[str, str])
    offers_starttls: bool = False
    greeting: str = "220 fake ready"
    sender_reply: str = "250 sender ok"
    recipient_replies: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    data_replies: list[str] = field(default_factory=list[str])
    """Answers to whole mails; a mail that is refused is not taken."""
    drops_after_data: int = 0
    """How many mails to take and then hang up on instead of saying so."""
    hangs_at: str = ""
    """The command that is never answered."""
    has_hung: bool = False
    """It was given that command, and says no more."""
    mails: list[TakenMail] = field(default_factory=list[TakenMail])
    logins: list[str] = field(default_factory=list[str])
    connections: int = 0

    @property
    def url(self) -> str:
        return f"smtp://{HOST}:{self.port}"


@contextlib.asynccontextmanager
async def smtp_server(
    *, tls: ssl.SSLContext | None = None, encrypted_from_the_start: bool = False
) -> AsyncGenerator[SmtpServer]:
    """Run a server for as long as the block takes."""
    state = SmtpServer(offers_starttls=tls is not None and not encrypted_from_the_start)
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        state.connections += 1
        try:
            await _Session(state, reader, writer, tls, encrypted=encrypted_from_the_start).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0, ssl=tls if encrypted_from_the_start else None)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class _Session:
    def __init__(
        self,
        state: SmtpServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tls: ssl.SSLContext | None,
        *,
        encrypted: bool,
    ) -> None:
        self._state = state
        self._reader = reader
        self._writer = writer
        self._tls = tls
        self._encrypted = encrypted
        self._user: str | None = None
        self._sender = ""
        self._recipients: list[str] = []

    async def run(self) -> None:
        await self._say(self._state.greeting)
        while line := (await self._reader.readline()).decode().strip():
            word = line.split()[0].upper()
            if word == self._state.hangs_at:
                self._state.has_hung = True
                await asyncio.Event().wait()
            if word == "QUIT":
                await self._say("221 bye")
                return
            if not await self._obey(word, line):
                return

    async def _obey(self, word: str, line: str) -> bool:
        """Do what a command says; false ends the connection without a word."""
        match word:
            case "EHLO":
                await self._greet()
            case "STARTTLS":
                await self._encrypt()
            case "AUTH":
                await self._log_in(line)
            case "MAIL":
                self._sender, self._recipients = _address(line), []
                await self._say(self._state.sender_reply)
            case "RCPT":
                await self._take_recipient(_address(line))
            case "DATA":
                return await self._take_mail()
            case "RSET" | "NOOP":
                await self._say("250 ok")
            case _:
                await self._say("500 what?")
        return True

    async def _greet(self) -> None:
        extensions = ["SIZE 1000000", "8BITMIME"]
        if self._state.offers_starttls and not self._encrypted:
            extensions.append("STARTTLS")
        if self._state.users:
            extensions.append("AUTH PLAIN")
        lines = ["fake", *extensions]
        for line in lines[:-1]:
            await self._say(f"250-{line}")
        await self._say(f"250 {lines[-1]}")

    async def _encrypt(self) -> None:
        if self._tls is None or not self._state.offers_starttls:
            await self._say("502 no encryption here")
            return
        await self._say("220 go ahead")
        await self._writer.start_tls(self._tls)
        self._encrypted = True

    async def _log_in(self, line: str) -> None:
        _, user, password = b64decode(line.split()[2]).decode().split("\0")
        self._state.logins.append(user)
        if self._state.users.get(user) != password:
            # As real ones do, it repeats more than it should.
            await self._say(f"535 5.7.8 {user}:{password} is wrong")
            return
        self._user = user
        await self._say("235 welcome")

    async def _take_recipient(self, recipient: str) -> None:
        replies = self._state.recipient_replies.get(recipient)
        reply = replies.pop(0) if replies else "250 recipient ok"
        if reply.startswith("250"):
            self._recipients.append(recipient)
        await self._say(reply)

    async def _take_mail(self) -> bool:
        await self._say("354 go on")
        raw = (await self._reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
        reply = self._state.data_replies.pop(0) if self._state.data_replies else "250 taken"
        if reply.startswith("250"):
            message = message_from_bytes(raw, policy=policy.default)
            assert isinstance(message, EmailMessage)
            mail = TakenMail(self._sender, self._recipients, message, raw, self._encrypted, self._user)
            self._state.mails.append(mail)
            if self._state.drops_after_data:
                self._state.drops_after_data -= 1
                return False
        await self._say(reply)
        return True

    async def _say(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())
        await self._writer.drain()


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


def certificates(name: str = "localhost") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The side of a server with a certificate of its own, and of a client that trusts it and nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="holdfast-") as directory:
        path = Path(directory) / "both.pem"
        path.write_bytes(private + public)
        server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=public.decode())
