"""Header blocks: what a call's headers say, whatever was compressed how; and those of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import grpc_client
import grpc_kit
import pytest
from grpc_client import TOKEN, block, decoded, fields, literals
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver.grpc import heads, http2
from nacre.modelserver.grpc.heads import Head, HeadReader, Malformed
from nacre.modelserver.grpc.http2 import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, Fault

MOST = 32 * 1024


def read(block: bytes) -> Head:
    return HeadReader(MOST).read(block)


def headers(path: bytes = b"/a/B", **more: bytes | None) -> list[tuple[bytes, bytes]]:
    return list(fields(path, **more).items())


# ---- what they say


def test_a_call_has_a_path_a_token_and_a_deadline() -> None:
    assert read(block(b"/a/B")) == Head(b"/a/B", TOKEN, None)
    assert read(block(b"/a/B", grpc_timeout=b"3S", authorization=None)) == Head(b"/a/B", None, 3.0)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"15S", 15.0),
        (b"1500m", 1.5),
        (b"20u", 20e-6),
        (b"99999999n", 0.099999999),
        (b"0S", 0.0),
        (b"00000001S", 1.0),
        (b"99999999H", 99999999 * 3600.0),
    ],
)
def test_the_units_of_a_deadline(given: bytes, seconds: float) -> None:
    head = read(block(b"/a/B", grpc_timeout=given))
    assert head.wrong is None
    assert head.timeout == pytest.approx(seconds)


@pytest.mark.parametrize(
    "given",
    [b"", b"S", b"1", b"1s", b"1 S", b"-1S", b"+1S", b"1.5S", b"123456789S", b"1S\n", "١S".encode()],
)
def test_a_deadline_that_is_none_is_told(given: bytes) -> None:
    head = read(block(b"/a/B", grpc_timeout=given))
    assert head.wrong is not None
    assert "grpc-timeout" in head.wrong
    assert head.refused is None


def test_what_is_not_grpc_gets_a_status_of_http() -> None:
    assert read(block(b"/", method=b"GET")).refused == 405
    assert read(block(b"/", content_type=b"application/json")).refused == 415
    assert read(block(b"/", content_type=None)).refused == 415
    assert read(block(b"/", content_type=b"application/grpc+proto")).refused is None


@pytest.mark.parametrize(
    "wrong",
    [
        headers()[1:],
        [one for one in headers() if one[0] != b":scheme"],
        [one for one in headers() if one[0] != b":path"],
        headers(path=b""),
        [*headers(), (b":authority", b"late")],
        [(b":path", b"/a/B"), *headers()],
        [(b":status", b"200"), *headers()],
        [(b":own", b"1"), *headers()],
        [*headers(), (b"Upper", b"1")],
        [*headers(), (b"connection", b"close")],
        [*headers(), (b"transfer-encoding", b"chunked")],
        [],
    ],
)
def test_headers_against_http_2_are_malformed(wrong: list[tuple[bytes, bytes]]) -> None:
    reader = HeadReader(MOST)
    sent = Encoder().encode(wrong)
    for _ in range(2):
        with pytest.raises(Malformed):
            reader.read(sent[:0] if not wrong else b"".join(literals({n: v}) for n, v in wrong))


def test_malformed_headers_reset_their_stream_alone() -> None:
    with grpc_kit.World() as world:
        client = world.client()
        got = client.ask(grpc_client.headers(1, method=None), grpc_client.call(3))
        assert got[1].reset == http2.PROTOCOL_ERROR
        assert got[3].status == 0


# ---- what cannot be read


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x80",  # index 0
        b"\xbe",  # an index of the empty table
        b"\xff\xff\xff\xff\xff\xff\xff\xff",  # a number without an end
        b"\x00\x0aabc",  # a name that is cut
        b"\x00\x01a\x05b",  # a value that is cut
        b"\x00\x01a",  # no value at all
        b"\x00",
        b"\x00\x81\xff\x00",  # Huffman that ends in a code's middle
        b"\x82\x20",  # a size after a field
        b"\x3f\xe2\x1f",  # a table of 4097 bytes
        b"\x20\x3f\x00" * 9 + b"\x82",  # eighteen sizes
        b"\x7f\xff\xff\xff\xff\x0f",
    ],
)
def test_a_block_that_cannot_be_read_is_a_fault(wrong: bytes) -> None:
    with pytest.raises(Fault) as caught:
        read(wrong)
    assert caught.value.code == COMPRESSION_ERROR


@settings(max_examples=300)
@given(st.binary(max_size=80), st.integers(0, 60), st.booleans())
def test_any_bytes_are_headers_or_a_refusal(junk: bytes, at: int, inside: bool) -> None:
    whole = Encoder().encode(headers())
    sent = whole[:at] + junk + whole[at:] if inside else junk
    found = outcome(read, sent)
    assert found in ("malformed", "fault") or (isinstance(found, Head) and found.path)


@pytest.mark.parametrize("form", ["one field", "many fields", "references"])
def test_headers_over_the_limit_are_a_fault(form: str) -> None:
    if form == "one field":
        sent = block(b"/a/B", x=b"v" * (MOST - 100))
    elif form == "many fields":
        sent = block(b"/a/B") + b"\0\x01x\0" * (MOST // 33 + 1)
    else:
        # A bomb: each byte stands for a field of 4000.
        sent = Encoder().encode([*headers(), (b"x", b"v" * 4000)]) + b"\xbe" * 20
    with pytest.raises(Fault) as caught:
        read(sent)
    assert caught.value.code == ENHANCE_YOUR_CALM


def test_headers_at_the_limit_are_read() -> None:
    used = sum(32 + len(name) + len(value) for name, value in headers(x=b""))
    head = read(block(b"/a/B", x=b"v" * (MOST - used)))
    assert head.path == b"/a/B"


# ---- blocks that are known


class Reference:
    """Reads headers as :class:`HeadReader` does, but remembers no block."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=MOST)

    def read(self, sent: bytes) -> Head:
        return heads._head([(name, value) for name, value in self._decoder.decode(sent, raw=True)])

    def skip(self, sent: bytes) -> None:
        self._decoder.decode(sent)


def outcome(read: Callable[[bytes], Head | None], sent: bytes) -> Head | str | None:
    """What comes of reading a block; the kind of error where it is one."""
    try:
        return read(sent)
    except Malformed:
        return "malformed"
    except (Fault, HPACKError):
        return "fault"


SOME = st.sampled_from(
    [
        (b"authorization", b"Bearer one"),
        (b"authorization", b"Bearer two"),
        (b"grpc-timeout", b"1S"),
        (b"grpc-timeout", b"2S"),
        (b"grpc-timeout", b"bad"),
        (b"x-long", b"v" * 3000),
        (b"x-request", b"1"),
        (b"content-type", b"application/json"),
        (b"Upper", b"1"),
    ]
)
STEP = st.fixed_dictionaries(
    {
        "path": st.sampled_from([b"/a/A", b"/a/B", b"/b/A"]),
        "more": st.lists(SOME, max_size=3, unique_by=lambda one: one[0]),
        "plain": st.booleans(),
        "size": st.sampled_from([None] * 8 + [0, 100, 4096]),
        "trailers": st.booleans(),
        "again": st.lists(st.integers(0, 6), max_size=2),
    }
)


@settings(max_examples=400)
@given(st.lists(STEP, max_size=15))
def test_a_known_block_is_never_stale(steps: list[dict[str, Any]]) -> None:
    """Whatever came before, and also when the bytes of an earlier block come again, to another table."""
    encoder, reference, reader = Encoder(), Reference(), HeadReader(MOST)
    blocks: list[bytes] = []
    for step in steps:
        if step["size"] is not None:
            encoder.header_table_size = step["size"]
        given = [*headers(step["path"], authorization=None), *step["more"]]
        sent = literals(dict(given)) if step["plain"] else encoder.encode(given)
        blocks.append(sent)
        reads = [(reader.skip, reference.skip) if step["trailers"] else (reader.read, reference.read)]
        reads += [(reader.read, reference.read)] * len(step["again"])
        old = [blocks[-1 - at % len(blocks)] for at in step["again"]]
        for (tested, trusted), one in zip(reads, (sent, *old), strict=True):
            want = outcome(trusted, one)
            assert outcome(tested, one) == want
            if want == "fault":
                return


@pytest.mark.parametrize("by", ["headers", "trailers", "a refused call's headers"])
def test_a_block_that_means_something_else_now_is_read_anew(by: str) -> None:
    """Two callers of a proxy, whose tokens are references into the table."""
    with grpc_kit.World() as world:
        client, encoder = world.client(), Encoder()
        body = grpc_client.data(1, grpc_client.message(), end=True)

        def ask(stream: int, sent: bytes, flags: int = 4) -> None:
            data = body[:5] + stream.to_bytes(4, "big") + body[9:]
            client.ask(http2.frame(http2.HEADERS, flags, stream, sent), data if flags == 4 else b"")

        for stream in (1, 3, 5):
            # The newest in the table is the token.
            sent = encoder.encode(headers(b"/t/Tell", authorization=TOKEN))
            ask(stream, sent)
        assert [client.calls[stream].status for stream in (1, 3, 5)] == [0, 0, 0]
        newer = encoder.encode([(b"authorization", b"Bearer bad")])
        if by == "headers":
            ask(7, block(b"/t/Tell") + newer)
        elif by == "trailers":
            client.ask(grpc_client.headers(7), http2.frame(http2.HEADERS, 5, 7, newer))
        else:
            client.ask(http2.frame(http2.HEADERS, 5, 5, newer))
        # Unchanged bytes, whose indices now mean the fields one later.
        found = Decoder()
        found.header_table.dynamic_entries.extend(encoder.header_table.dynamic_entries)
        want = found.decode(sent, raw=True)
        assert dict(want) != dict(headers(b"/t/Tell"))
        ask(9, sent)
        assert client.calls[9].reset == http2.PROTOCOL_ERROR or client.calls[9].status != 0


def test_blocks_that_are_known_are_few() -> None:
    reader = HeadReader(MOST)
    for at in range(100):
        assert reader.read(block(b"/a/%d" % at)).path == b"/a/%d" % at
        assert reader.read(block(b"/a/1", x=b"v" * 2000)).path == b"/a/1"
    assert len(reader._known) <= 8
    assert all(len(known) <= 1024 for known in reader._known)


# ---- answers


def test_the_blocks_of_an_answer_are_read_by_others() -> None:
    decoder = Decoder()
    assert decoded(heads.ANSWER, decoder) == {":status": "200", "content-type": "application/grpc"}
    assert decoded(heads.DONE, decoder) == {"grpc-status": "0"}
    assert decoded(heads.no_grpc(405), decoder) == {":status": "405", "content-length": "0"}
    assert not decoder.header_table.dynamic_entries


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_a_sentence_comes_through(text: str) -> None:
    found = decoded(heads.trailers(5, text))
    said = found["grpc-message"]
    assert found["grpc-status"] == "5"
    assert all(" " <= character <= "~" for character in said)
    assert unquote(said) == text


@pytest.mark.parametrize("character", ["a", "%", "é", "☃", "😀"])
@pytest.mark.parametrize("count", [100, 1499, 1500, 1501, 100_000])
def test_a_long_sentence_is_cut_so_that_every_client_takes_it(character: str, count: int) -> None:
    """Clients of gRPC take metadata of 8 KiB."""
    sent = heads.trailers(3, character * count)
    assert len(sent) < 8000
    said = unquote(decoded(sent)["grpc-message"])
    assert "\ufffd" not in said
    assert said.rstrip("…").strip(character) == ""
    assert len(said) > 90


def test_a_sentence_that_is_no_unicode_is_told_all_the_same() -> None:
    found = decoded(heads.trailers(13, "caf\udce9 broke"))
    assert unquote(found["grpc-message"]).endswith(" broke")


def test_a_method_that_there_is_not_tells_what_may_be_compressed() -> None:
    assert decoded(heads.trailers(12, "no"))["grpc-accept-encoding"] == "identity,gzip,deflate"


def test_a_client_without_a_table_reads_the_answers() -> None:
    """It says so by a setting; the next block has to begin with the table's new size."""
    with grpc_kit.World() as world:
        client = world.client()
        client.ask(grpc_client.call(1))
        client.send(http2.frame(http2.SETTINGS, 0, 0, http2.SETTING.pack(1, 0)))
        client.decoder.max_allowed_table_size = 0
        for stream, path in ((3, b"/t/Tell"), (5, b"/t/TellMany"), (7, b"/t/None")):
            client.ask(grpc_client.call(stream, path))
        client.ask(grpc_client.headers(9, method=b"GET", end=True))
        assert [client.calls[stream].ended for stream in (3, 5, 7, 9)] == [True] * 4


def test_the_tables_size_may_change_twice_at_once() -> None:
    """To the least that it was, and to what it is now."""
    assert read(b"\x20\x3f\xe1\x1f" + literals(fields(b"/a/B"))).path == b"/a/B"


@pytest.mark.parametrize("first", [b"/t/Tell", b"/t/TellMany", b"/t/None", b"/t/Ask", b"GET"])
def test_whatever_block_comes_first_tells_the_size_of_the_table(first: bytes) -> None:
    with grpc_kit.World() as world:
        client = world.client()
        client.send(http2.frame(http2.SETTINGS, 0, 0, http2.SETTING.pack(1, 100)))
        client.decoder.max_allowed_table_size = 100
        if first == b"GET":
            got = client.ask(grpc_client.headers(1, method=b"GET", end=True))[1]
        else:
            client.ask(grpc_client.call(1, first))
            for asked in world.asked:
                asked.answer(b"x" * 20_000)
            got = client.read()[1]
        assert got.ended
