"""A client of gRPC that speaks in frames, for the tests of the server's side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from hpack import Decoder

from nacre.modelserver.grpc import http2
from nacre.modelserver.grpc.connection import Connection

if TYPE_CHECKING:
    from grpc_kit import Transport, World

TOKEN = b"Bearer good"
LARGE = 2**31 - 1


def pattern(size: int) -> bytes:
    """Bytes of which no piece is like another near it."""
    return (b"".join(b"%07d " % at for at in range(size // 8 + 1)))[:size]


# ---- what clients send


def text(value: bytes) -> bytes:
    """A string literal of HPACK."""
    size = len(value)
    if size < 127:
        return bytes((size,)) + value
    head, size = [127], size - 127
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes((*head, size)) + value


def literals(fields: dict[bytes, bytes]) -> bytes:
    """A header block that no table remembers."""
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields.items())


def fields(path: bytes, **more: bytes | None) -> dict[bytes, bytes]:
    """A call's headers; ``more`` replaces, adds, or (null) leaves out."""
    usual: dict[bytes, bytes | None] = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path,
        b"te": b"trailers",
        b"content-type": b"application/grpc",
        b"authorization": TOKEN,
    }
    for name, value in more.items():
        key = name.replace("_", "-").encode()
        usual[b":" + key if b":" + key in usual else key] = value
    return {name: value for name, value in usual.items() if value is not None}


def block(path: bytes, **more: bytes | None) -> bytes:
    return literals(fields(path, **more))


def headers(stream: int, path: bytes = b"/t/Tell", end: bool = False, **more: bytes | None) -> bytes:
    """A call begins."""
    flags = http2.END_HEADERS | (http2.END_STREAM if end else 0)
    return http2.frame(http2.HEADERS, flags, stream, block(path, **more))


def message(body: bytes = b"hello", compressed: int = 0) -> bytes:
    """A message in the data of a call."""
    return http2.PREFIX.pack(compressed, len(body)) + body


def data(stream: int, payload: bytes = b"", end: bool = False, piece: int = http2.MAX_FRAME) -> bytes:
    """Frames of data, as many as it takes; the last may end the call."""
    parts = [payload[at : at + piece] for at in range(0, len(payload), piece)] or [b""]
    flags = [0] * (len(parts) - 1) + [http2.END_STREAM if end else 0]
    return b"".join(
        http2.frame(http2.DATA, flag, stream, part) for flag, part in zip(flags, parts, strict=True)
    )


def call(stream: int, path: bytes = b"/t/Tell", body: bytes = b"hello", **more: bytes | None) -> bytes:
    """A whole call of one message."""
    return headers(stream, path, False, **more) + data(stream, message(body), end=True)


# ---- what they get


def decoded(block: bytes, decoder: Decoder | None = None) -> dict[str, str]:
    """A block of an answer; each name comes once."""
    found = list((decoder or Decoder()).decode(block, raw=True))
    assert len({name for name, _ in found}) == len(found)
    return {name.decode(): value.decode() for name, value in found}


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass
class Got:
    """What has come of one call's answer."""

    heads: list[dict[str, str]] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray, repr=False)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """That of gRPC, from the trailers."""
        assert self.ended, self
        return int(self.heads[-1]["grpc-status"])

    @property
    def text(self) -> str:
        return unquote(self.heads[-1]["grpc-message"])

    @property
    def messages(self) -> list[bytes]:
        found, at = [], 0
        while at < len(self.data):
            compressed, size = http2.PREFIX.unpack_from(self.data, at)
            assert not compressed
            at += http2.PREFIX.size
            found.append(bytes(self.data[at : at + size]))
            at += size
        assert at == len(self.data), "a message is cut"
        return found


class Client:
    """One connection, by its frames."""

    def __init__(self, world: World, transport: Transport, first: bytes) -> None:
        self.world = world
        self.transport = transport
        self.frames: list[Frame] = []
        """All that came, in order."""
        self.calls: dict[int, Got] = {}
        self.pings: list[bytes] = []
        self.windows: dict[int, int] = {}
        """What it was given leave to send beyond the first windows."""
        self.acks = 0
        self.goaway: tuple[int, int, str] | None = None
        self._rest = b""
        self.decoder = Decoder()
        self.connection = Connection(world.server, transport, first)

    @property
    def closed(self) -> bool:
        return self.transport.closing

    def send(self, *sent: bytes) -> Client:
        """Let the server have these bytes, unless it has stopped to listen."""
        if not self.transport.closing:
            self.connection.data_received(b"".join(sent))
        return self

    def ask(self, *sent: bytes) -> dict[int, Got]:
        """Send, and all that came so far."""
        return self.send(*sent).read()

    def read(self, size: int | None = None) -> dict[int, Got]:
        """Take what the server has written; a socket that was full has room again."""
        while True:
            self.world.loop.settle()
            found = self.transport.take(size)
            if not found:
                return self.calls
            self._rest += found
            self._parse()
            if size is not None:
                return self.calls

    def _parse(self) -> None:
        while len(self._rest) >= http2.HEAD.size:
            high, low, kind, flags, stream = http2.HEAD.unpack_from(self._rest)
            end = http2.HEAD.size + (high << 16 | low)
            if len(self._rest) < end:
                return
            frame = Frame(kind, flags, stream, self._rest[http2.HEAD.size : end])
            self._rest = self._rest[end:]
            self.frames.append(frame)
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        kind, flags, stream, payload = frame
        assert self.goaway is None or self.goaway[1] == http2.NO_ERROR, "nothing comes after a fault"
        if kind in (http2.HEADERS, http2.DATA):
            got = self.calls.setdefault(stream, Got())
            assert not got.ended
            assert got.reset is None
            if kind == http2.HEADERS:
                assert flags & http2.END_HEADERS
                got.heads.append(decoded(payload, self.decoder))
            else:
                assert got.heads
                got.data += payload
            got.ended = bool(flags & http2.END_STREAM)
        elif kind == http2.RESET:
            got = self.calls.setdefault(stream, Got())
            assert got.reset is None
            got.reset = http2.NUMBER.unpack(payload)[0]
        elif kind == http2.WINDOW:
            size = http2.NUMBER.unpack(payload)[0]
            assert size > 0
            self.windows[stream] = self.windows.get(stream, 0) + size
        elif kind == http2.GOAWAY:
            last, code = http2.NUMBER.unpack(payload[:4])[0], http2.NUMBER.unpack(payload[4:8])[0]
            self.goaway = last, code, payload[8:].decode()
        elif kind == http2.PING:
            self.pings.append(payload)
        elif flags & http2.ACK:
            self.acks += 1
