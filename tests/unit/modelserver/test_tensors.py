"""Values of tensors, written."""

from __future__ import annotations

import numpy as np

from nacre.modelserver.tensors import from_binary, to_binary, to_json_values


def test_strings_of_either_kind_are_written_alike() -> None:
    array = np.array([["ä", "ä".encode()], [b"", "b"]], dtype=object)
    assert to_json_values(array, "BYTES") == ["ä", "ä", "", "b"]
    assert from_binary(memoryview(to_binary(array, "BYTES")), "BYTES", 4).tolist() == ["ä", "ä", "", "b"]


def test_bytes_that_are_no_text_are_written_as_they_can_be() -> None:
    array = np.array([b"\xffa"], dtype=object)
    assert to_json_values(array, "BYTES") == ["\ufffda"]
    assert to_binary(array, "BYTES") == b"\x02\x00\x00\x00\xffa"
