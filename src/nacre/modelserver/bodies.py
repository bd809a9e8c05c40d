"""Request bodies that come compressed."""

from __future__ import annotations

import zlib

from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import BadRequest

CODINGS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


def decompress(body: bytes, coding: bytes, most: int) -> bytes:
    """The plain body, of at most ``most`` bytes.

    Raises :class:`BadRequest` for what is not of that coding, :class:`Refused` with 413 for too much.
    """
    coding = coding.strip().lower()
    if coding == b"identity":
        return body
    if coding not in CODINGS:
        raise BadRequest(f"Content-Encoding {coding.decode('latin-1')!r} is not known: gzip or deflate")
    stream = zlib.decompressobj(CODINGS[coding])
    try:
        plain = stream.decompress(body, most + 1)
    except zlib.error as wrong:
        raise BadRequest(f"the body is not {coding.decode()}: {wrong}") from wrong
    if len(plain) > most:
        raise Refused(413, f"the body is over the limit of {most} bytes when decompressed")
    if not stream.eof:
        raise BadRequest(f"the {coding.decode()} body is cut short")
    return plain
