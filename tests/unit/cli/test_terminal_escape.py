"""``~.`` at the beginning of a line."""

from __future__ import annotations

import pytest

from nacre.cli.terminal import Escape


@pytest.mark.parametrize(
    ("pieces", "typed", "left"),
    [
        ([b"~."], b"", True),
        ([b"ls\r~."], b"ls\r", True),
        ([b"ls\r", b"~", b"."], b"ls\r", True),
        ([b"cd ~.\r"], b"cd ~.\r", False),
        ([b"~~.\r"], b"~.\r", False),
        ([b"~/bin\r"], b"~/bin\r", False),
        ([b"a\r~", b"b"], b"a\r~b", False),
        ([b"~", b"\r~", b"."], b"~\r", True),
        (["日本~.".encode()], "日本~.".encode(), False),
    ],
)
def test_escape(pieces: list[bytes], typed: bytes, left: bool) -> None:
    escape = Escape()
    out, gone = b"", False
    for piece in pieces:
        some, gone = escape.feed(piece)
        out += some
    assert (out, gone) == (typed, left)
