"""What a call's headers say, and the headers of its answer (HPACK, RFC 7541).

Format: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from nacre.modelserver.grpc.http2 import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, Fault
from nacre.modelserver.grpc.status import UNIMPLEMENTED

_MOST_KNOWN = 8
_LONGEST_KNOWN = 1024
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_OF_HTTP_1 = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_UPPER = re.compile(rb"[A-Z]")
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MANY_SIZES = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){17}")
"""Changes of the table's size. Two at once are enough (RFC 7541, section 4.2); some clients tell each."""
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_LONGEST_TEXT = 4000
"""Bytes of a message: clients take 8 KiB of headers."""


class Malformed(Exception):
    """The headers are against HTTP/2: their stream is reset."""


@dataclass(frozen=True, slots=True)
class Head:
    """A call's headers. ``timeout``: seconds that its sender waits, null for any time. ``encoding``: of
    messages that are compressed. ``refused``: the HTTP status of what is not gRPC; ``wrong``: a sentence
    about headers that are."""

    path: bytes
    authorization: bytes | None = None
    timeout: float | None = None
    encoding: bytes = b"identity"
    refused: int | None = None
    wrong: str | None = None


class _Table(HeaderTable):
    """Counts what is added."""

    def __init__(self) -> None:
        super().__init__()
        self.added = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.added += 1
        super().add(name, value)


class HeadReader:
    """The header blocks of one connection. Clients send the same few blocks again and again: those that do
    not touch the table are remembered until another one does."""

    def __init__(self, most: int) -> None:
        """``most``: bytes of the headers of one call."""
        self._decoder = Decoder(max_header_list_size=most)
        self._decoder.header_table = self._table = _Table()
        self._known: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """The head of a call. Raises :class:`Malformed`, and ``Fault``."""
        known = self._known.get(block)
        if known is not None:
            return known
        added = self._table.added
        fields = self._fields(block)
        head = _head(fields)
        if self._table.added == added and len(block) <= _LONGEST_KNOWN and not _resizes(block):
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[block] = head
        return head

    def skip(self, block: bytes) -> None:
        """Headers that nobody wants may change the table, too. Raises ``Fault``."""
        self._fields(block)

    def _fields(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """The fields of a block. What is known holds no more where it changes the table."""
        added = self._table.added
        if _MANY_SIZES.match(block):
            raise Fault(COMPRESSION_ERROR, "the headers change the size of their table again and again")
        try:
            fields = [(name, value) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            raise Fault(ENHANCE_YOUR_CALM, "the headers are too long") from error
        except (HPACKError, IndexError, ValueError) as error:
            raise Fault(COMPRESSION_ERROR, "the headers cannot be read") from error
        if self._table.added != added or _resizes(block):
            self._known.clear()
        return fields


def _resizes(block: bytes) -> bool:
    """Whether a block begins with a change of the table's size (RFC 7541, section 6.3)."""
    return block[:1] != b"" and block[0] & 0xE0 == 0x20


def _head(fields: list[tuple[bytes, bytes]]) -> Head:
    pseudo: dict[bytes, bytes] = {}
    plain: dict[bytes, bytes] = {}
    for name, value in fields:
        if name[:1] == b":":
            if plain or name in pseudo or name not in _PSEUDO:
                raise Malformed
            pseudo[name] = value
        elif name in _OF_HTTP_1 or _UPPER.search(name):
            raise Malformed
        else:
            plain.setdefault(name, value)
    path = pseudo.get(b":path")
    if not path or b":method" not in pseudo or b":scheme" not in pseudo:
        raise Malformed
    if pseudo[b":method"] != b"POST":
        return Head(path, refused=405)
    if not plain.get(b"content-type", b"").startswith(b"application/grpc"):
        return Head(path, refused=415)
    authorization, timeout = plain.get(b"authorization"), plain.get(b"grpc-timeout")
    encoding = plain.get(b"grpc-encoding", b"identity")
    if timeout is None:
        return Head(path, authorization, None, encoding)
    found = _TIMEOUT.fullmatch(timeout)
    if found is None:
        wrong = "grpc-timeout has to be up to eight digits and one of H, M, S, m, u, n"
        return Head(path, authorization, wrong=wrong)
    return Head(path, authorization, int(found[1]) * _UNITS[found[2]], encoding)


# ---- answers: literals that no table remembers, so that they are the same bytes each time


def _text(value: bytes) -> bytes:
    size = len(value)
    if size < 127:
        return bytes((size,)) + value
    head = [127]
    size -= 127
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes((*head, size)) + value


def _field(name: bytes, value: bytes) -> bytes:
    return b"\0" + _text(name) + _text(value)


_STATUS_200 = b"\x88"
ANSWER = _STATUS_200 + _field(b"content-type", b"application/grpc")
"""What comes before messages."""
DONE = _field(b"grpc-status", b"0")
"""What comes after them."""


def trailers(code: int, text: str) -> bytes:
    """What comes after messages when not all went well."""
    said = quote(text[:_LONGEST_TEXT], _PLAIN, errors="replace")
    if len(said) > _LONGEST_TEXT:
        # Three bytes stand for one that is not plain: so many characters fit for certain.
        said = quote(text[: _LONGEST_TEXT // 12] + "…", _PLAIN, errors="replace")
    fields = _field(b"grpc-status", b"%d" % code) + _field(b"grpc-message", said.encode())
    if code == UNIMPLEMENTED:
        fields += _field(b"grpc-accept-encoding", b"identity,gzip,deflate")
    return fields


def no_grpc(status: int) -> bytes:
    """The whole answer to what is not gRPC: an HTTP status."""
    return _field(b":status", b"%d" % status) + _field(b"content-length", b"0")
