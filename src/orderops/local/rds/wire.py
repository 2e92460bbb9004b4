"""The beginning of a session in PostgreSQL's protocol, from "Message Formats" of its documentation.

Only what happens before a session is open is read here; after that, bytes are passed on as they are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping

TLS_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
# PostgreSQL takes no longer ones (MAX_STARTUP_PACKET_LENGTH); a token has about 1500 bytes.
LONGEST = 10_000
OK, CLEARTEXT, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 10, 11, 12
SCRAM = b"SCRAM-SHA-256"


class Broken(ConnectionError):
    """What arrived is no message of the protocol, or not the expected one."""


class ServerRefused(Exception):
    """The server answered with an error, which the client gets as it is."""

    def __init__(self, message: bytes) -> None:
        super().__init__()
        self.message = message


async def read_startup(reader: StreamReader) -> tuple[int, bytes]:
    """Return the code of a client's first message, and the whole message."""
    head = await reader.readexactly(8)
    length, code = struct.unpack("!II", head)
    if not 8 <= length <= LONGEST:
        raise Broken("the first message of the client is too long")
    return code, head + await reader.readexactly(length - 8)


def parameters(startup: bytes) -> Mapping[str, str]:
    """Return the parameters of a startup message, such as `user` and `database`."""
    texts = [text.decode(errors="replace") for text in startup[8:].split(b"\0")]
    return dict(zip(texts[::2], texts[1::2], strict=False))


async def read_message(reader: StreamReader) -> tuple[bytes, bytes]:
    """Return the type of a message and its content."""
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    if not 4 <= length <= LONGEST:
        raise Broken("a message is too long")
    return kind, await reader.readexactly(length - 4)


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


def authentication(code: int) -> bytes:
    """Return the server's message that asks for a login, or accepts it."""
    return message(b"R", struct.pack("!I", code))


def fatal(state: str, words: str) -> bytes:
    """Return the server's message that ends a session before it begins."""
    fields = (("S", "FATAL"), ("V", "FATAL"), ("C", state), ("M", words))
    return message(b"E", b"".join(f"{name}{value}".encode() + b"\0" for name, value in fields) + b"\0")


async def read_password(reader: StreamReader) -> str:
    """Return the password that a client was asked for."""
    kind, content = await read_message(reader)
    if kind != b"p":
        raise Broken("the client sends no password")
    return content.rstrip(b"\0").decode(errors="replace")


async def sign_in(reader: StreamReader, writer: StreamWriter, password: str) -> None:
    """Answer a server that asks for a password by SCRAM (RFC 7677). Raises ServerRefused."""
    await _answer(reader, SASL)
    nonce = base64.b64encode(secrets.token_bytes(18)).decode()
    bare = f"n=,r={nonce}"
    first = f"n,,{bare}".encode()
    writer.write(message(b"p", SCRAM + b"\0" + struct.pack("!I", len(first)) + first))
    challenge = (await _answer(reader, SASL_CONTINUE)).decode()
    stated = dict(part.split("=", 1) for part in challenge.split(","))
    salt, rounds = base64.b64decode(stated["s"]), int(stated["i"])
    key = hmac.digest(hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds), b"Client Key", "sha256")
    final = f"c=biws,r={stated['r']}"
    signed = hmac.digest(hashlib.sha256(key).digest(), f"{bare},{challenge},{final}".encode(), "sha256")
    proof = base64.b64encode(bytes(left ^ right for left, right in zip(key, signed, strict=True))).decode()
    writer.write(message(b"p", f"{final},p={proof}".encode()))
    await _answer(reader, SASL_FINAL)
    await _answer(reader, OK)


async def _answer(reader: StreamReader, code: int) -> bytes:
    kind, content = await read_message(reader)
    if kind == b"E":
        raise ServerRefused(message(kind, content))
    if kind != b"R" or int.from_bytes(content[:4]) != code:
        raise Broken("the server asks for another login than expected")
    return content[4:]
