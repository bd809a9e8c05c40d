"""The name that a TLS client asks for, read from its first message."""

from __future__ import annotations

import asyncio

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME = 22, 1, 0
_MOST_BYTES = 64 * 1024

UNRECOGNIZED_NAME = bytes((21, 3, 3, 0, 2, 2, 112))
"""The fatal alert that tells a client that it asked for the wrong one."""


class NoHello(Exception):
    """What came is no first message of TLS."""


async def read_hello(reader: asyncio.StreamReader) -> tuple[bytes, str | None]:
    """The bytes of the first message, to be passed on, and the name in it; null when it has none.

    Raises:
        NoHello: it is something else, or longer than 64 KiB.
        asyncio.IncompleteReadError: the client has gone.
    """
    raw, message = b"", b""
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        head = await reader.readexactly(5)
        size = int.from_bytes(head[3:5], "big")
        if head[0] != _HANDSHAKE or head[1] != 3 or not 0 < size <= 16_384:
            raise NoHello
        body = await reader.readexactly(size)
        raw, message = raw + head + body, message + body
        if message[0] != _CLIENT_HELLO or len(raw) > _MOST_BYTES:
            raise NoHello
    try:
        return raw, _server_name(_Bytes(message[4 : 4 + int.from_bytes(message[1:4], "big")]))
    except (IndexError, UnicodeDecodeError) as error:
        raise NoHello from error


class _Bytes:
    """Reads from the front. Raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def take(self, count: int) -> bytes:
        if count > len(self._data):
            raise IndexError
        found, self._data = self._data[:count], self._data[count:]
        return found

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def block(self, width: int) -> _Bytes:
        """What follows its own length of so many bytes."""
        return _Bytes(self.take(self.number(width)))


def _server_name(hello: _Bytes) -> str | None:
    hello.take(2 + 32)  # version, random
    hello.block(1)  # session
    hello.block(2)  # ciphers
    hello.block(1)  # compression
    if not hello:
        return None
    names: list[str] = []
    extensions = hello.block(2)
    while extensions:
        kind, content = extensions.number(2), extensions.block(2)
        if kind == _SERVER_NAME:
            entries = content.block(2)
            while entries:
                number, name = entries.number(1), entries.block(2)
                if number == 0:
                    names.append(name.take(len(name)).decode("ascii").lower().removesuffix("."))
    if len(names) > 1:
        raise IndexError
    return names[0] if names else None
