"""The name in the first message of TLS: as any client may cut it, and never from what is none."""

from __future__ import annotations

import asyncio
import random
import ssl

import pytest

from nacre.proxy.client_hello import NoHello, read_hello


def hello(name: str | None) -> bytes:
    """The handshake message of Python's own client, without the record around it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()[5:]


def records(message: bytes, size: int) -> bytes:
    """The message, cut into records of at most so many bytes."""
    cut = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(one).to_bytes(2, "big") + one for one in cut)


def read(data: bytes) -> tuple[bytes, str | None]:
    async def run() -> tuple[bytes, str | None]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_hello(reader)

    return asyncio.run(run())


@pytest.mark.parametrize("size", [1, 3, 50, 16_384])
def test_the_name_however_it_is_cut(size: int) -> None:
    raw = records(hello("files.pythonhosted.org"), size)
    assert read(raw + b"what comes after") == (raw, "files.pythonhosted.org")


def test_one_without_a_name() -> None:
    assert read(records(hello(None), 16_384))[1] is None


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"]
)
def test_something_else(data: bytes) -> None:
    with pytest.raises(NoHello):
        read(data)


def test_a_message_that_claims_to_be_endless_is_not_waited_for() -> None:
    with pytest.raises(NoHello):
        read(records(b"\x01\xff\xff\xff" + bytes(200_000), 16_384))


def test_garbled_ones_are_read_or_refused_and_nothing_else_happens() -> None:
    good = hello("index.test")
    chance = random.Random(5)
    refused = 0
    for _ in range(400):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            bad[chance.randrange(4, len(bad))] = chance.randrange(256)
        del bad[chance.randint(4, len(bad)) :]
        bad[1:4] = (len(bad) - 4).to_bytes(3, "big")
        try:
            read(records(bytes(bad), 16_384))
        except NoHello:
            refused += 1
    assert refused > 100
