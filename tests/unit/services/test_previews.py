"""Previews: each kind of file is known, and no hostile one costs memory, time or the server."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import struct
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nacre.schema.previews import Preview, PreviewKind, TablePreview
from nacre.sdk.tracking.pictures import png
from nacre.services.previews import look


def preview(path: str, data: bytes, **options: Any) -> Preview:
    found = look(path, len(data), io.BytesIO(data), **options)
    json.dumps(json.loads(found.model_dump_json()), allow_nan=False)
    return found


def table(path: str, data: bytes | str, **options: Any) -> TablePreview:
    found = preview(path, data.encode() if isinstance(data, str) else data, **options)
    assert found.kind is PreviewKind.TABLE, found
    assert found.table is not None
    return found.table


class TestText:
    @pytest.mark.parametrize(
        ("data", "encoding", "text"),
        [
            ("grüße\n".encode(), "utf-8", "grüße\n"),
            (b"\xef\xbb\xbfa", "utf-8", "a"),
            ("ab".encode("utf-16"), "utf-16", "ab"),
            ("深度学习平台\n".encode("gb18030"), "gb18030", "深度学习平台\n"),
            ("déjà vu, très ça".encode("cp1252"), "cp1252", "déjà vu, très ça"),
            (b"", "utf-8", ""),
        ],
    )
    def test_the_encoding_is_guessed(self, data: bytes, encoding: str, text: str) -> None:
        found = preview("notes.txt", data)
        assert found.kind is PreviewKind.TEXT
        assert found.text is not None
        assert (found.text.encoding, found.text.text) == (encoding, text)
        assert found.media_type == "text/plain"

    def test_only_the_beginning_is_sent_and_lines_are_counted(self) -> None:
        found = preview("a.log", b"line\n" * 100_000 + b"end").text
        assert found is not None
        assert found.truncated
        assert found.lines == 100_001
        assert len(found.text) == 65_536

    def test_a_character_cut_in_two_is_no_reason_to_guess_another_encoding(self) -> None:
        found = preview("a.txt", b"a" + "é".encode() * 40_000).text
        assert found is not None
        assert found.encoding == "utf-8"
        assert "\ufffd" not in found.text

    def test_code_and_pages_are_text(self) -> None:
        assert preview("train.py", b"print(1)").media_type == "text/x-python"
        page = preview("loss.html", b"<script>alert(1)</script>")
        assert (page.kind, page.media_type) == (PreviewKind.TEXT, "text/html")
        assert preview("x.svg", b"<svg onload='x()'/>").kind is PreviewKind.TEXT

    def test_what_is_neither_is_binary(self) -> None:
        found = preview("data.bin", bytes(range(256)))
        assert (found.kind, found.media_type) == (PreviewKind.BINARY, "application/octet-stream")


class TestDelimited:
    def test_columns_types_rows_and_total(self) -> None:
        found = table("a.csv", "name,n,x,ok,day\nann,1,0.5,true,2024-01-02\nbob,2,,false,2024-02-03\n")
        assert [(c.name, c.type) for c in found.columns] == [
            ("name", "text"),
            ("n", "integer"),
            ("x", "number"),
            ("ok", "boolean"),
            ("day", "date"),
        ]
        assert found.rows == [
            ["ann", "1", "0.5", "true", "2024-01-02"],
            ["bob", "2", "", "false", "2024-02-03"],
        ]
        assert (found.total, found.format) == (2, "csv")

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_the_delimiter_is_found(self, delimiter: str) -> None:
        lines = ["a b", "1,5 x", "2,5 y"] if delimiter == ";" else ["a b", "1 x", "2 y"]
        found = table("a.csv", "\n".join(line.replace(" ", delimiter) for line in lines))
        assert [column.name for column in found.columns] == ["a", "b"]
        assert len(found.rows) == 2

    def test_without_a_header_columns_are_numbered(self) -> None:
        found = table("a.csv", "1,2\n3,4\n")
        assert [column.name for column in found.columns] == ["0", "1"]
        assert found.rows == [["1", "2"], ["3", "4"]]
        assert found.total == 2

    def test_pages(self) -> None:
        data = "a,b\n" + "".join(f"{n},x\n" for n in range(1000))
        found = table("a.csv", data, offset=990, limit=100)
        assert [row[0] for row in found.rows] == [str(n) for n in range(990, 1000)]
        assert (found.offset, found.total) == (990, 1000)
        assert table("a.csv", data, offset=5000).rows == []

    def test_quotes_hold_delimiters_and_lines(self) -> None:
        assert table("a.csv", 'a,b\n"x, y","1\n2"\n').rows == [["x, y", "1\n2"]]

    def test_uneven_rows_are_shown_as_they_are(self) -> None:
        found = table("a.csv", "a,b\n1\n1,2,3\n")
        assert [column.name for column in found.columns] == ["a", "b", "2"]
        assert found.rows == [["1"], ["1", "2", "3"]]

    def test_very_many_columns_and_long_cells_are_cut(self) -> None:
        found = table("a.csv", ",".join(f"c{n}" for n in range(5000)) + "\n" + "x" * 5000 + ",1" * 4999)
        assert (len(found.columns), found.columns_total) == (200, 5000)
        assert len(found.rows[0]) == 200
        assert len(found.rows[0][0]) == 501

    def test_one_endless_line_is_text(self) -> None:
        found = preview("a.csv", b"x," * 2_000_000)
        assert found.kind is PreviewKind.TEXT
        assert "line of over" in found.message

    def test_a_quote_that_never_ends_is_text(self) -> None:
        found = preview("a.csv", b'a,b\n"' + b"x,\n" * 200_000)
        assert found.kind is PreviewKind.TEXT
        assert "field" in found.message

    def test_an_empty_file_has_no_rows(self) -> None:
        assert table("a.csv", "").rows == []


class TestJson:
    @pytest.mark.parametrize(
        "value",
        [
            {"columns": ["a", "b"], "data": [[1, "x"], [2, None]]},
            [{"a": 1, "b": "x"}, {"a": 2}],
            {"a": [1, 2], "b": ["x", None]},
        ],
    )
    def test_each_form_is_the_same_table(self, value: Any) -> None:
        found = table("t.json", json.dumps(value))
        assert [(c.name, c.type) for c in found.columns] == [("a", "integer"), ("b", "text")]
        assert found.rows == [[1, "x"], [2, None]]
        assert found.total == 2
        assert table("t.json", json.dumps(value), offset=1).rows == [[2, None]]

    def test_lines_of_objects(self) -> None:
        found = table("t.jsonl", '{"a": 1}\n\n{"a": 2, "b": [1, 2]}\n', limit=5)
        assert found.rows == [[1, None], [2, "[1, 2]"]]
        assert (found.total, found.format) == (2, "jsonl")

    def test_odd_numbers_are_words(self) -> None:
        found = table("t.json", '{"columns": ["a"], "data": [[NaN], [Infinity], [123456789012345678901]]}')
        assert found.rows == [["NaN"], ["Infinity"], ["123456789012345678901"]]

    def test_a_confusion_matrix_is_one(self) -> None:
        value = {"type": "confusion_matrix", "labels": ["a", "b"], "confusion": [[3, 1], [0, 2]]}
        found = preview("confusion/val.json", json.dumps(value).encode())
        assert found.kind is PreviewKind.CONFUSION
        assert found.confusion_matrix is not None
        assert found.confusion_matrix.confusion == [[3, 1], [0, 2]]

    @pytest.mark.parametrize(
        "data",
        [
            b'{"a": 1}',
            b"[1, 2]",
            b"{",
            b"[" * 100_000,
            b'{"labels": ["a", "b"], "confusion": [[1, 2]]}',
            b'{"labels": ["a"], "confusion": "x"}',
            b"1" * 5000,
        ],
    )
    def test_anything_else_is_text(self, data: bytes) -> None:
        assert preview("a.json", data).kind is PreviewKind.TEXT

    def test_large_json_is_not_parsed(self) -> None:
        found = preview("a.json", b"[" + b"[]," * 2_000_000 + b"[]]")
        assert found.kind is PreviewKind.TEXT
        assert "shown as text" in found.message


class TestParquet:
    def data(self, rows: int = 5, groups: int = 2) -> bytes:
        stream = io.BytesIO()
        columns = {"n": list(range(rows)), "s": ["x" * n for n in range(rows)], "v": [[1, 2]] * rows}
        pq.write_table(pa.table(columns), stream, row_group_size=groups)
        return stream.getvalue()

    def test_columns_rows_and_total(self) -> None:
        found = table("a.parquet", self.data())
        assert [c.name for c in found.columns] == ["n", "s", "v"]
        assert found.columns[0].type == "int64"
        assert found.rows[2] == [2, "xx", "[1, 2]"]
        assert (found.total, len(found.rows)) == (5, 5)

    def test_pages_over_row_groups(self) -> None:
        found = table("a.parquet", self.data(1000, 100), offset=350, limit=120)
        assert [row[0] for row in found.rows] == list(range(350, 470))

    def test_files_on_disk_are_read_where_they_are(self, tmp_path: Path) -> None:
        (tmp_path / "blob").write_bytes(self.data())
        with (tmp_path / "blob").open("rb") as stream:
            found = look("a.parquet", (tmp_path / "blob").stat().st_size, stream, offset=4)
            assert not stream.closed
        assert found.table is not None
        assert [row[0] for row in found.table.rows] == [4]

    def test_damaged_ones_are_said_to_be(self) -> None:
        data = self.data()
        for broken in (data[:-20], b"PAR1" + b"\xff" * 100 + b"PAR1", b"PAR1"):
            found = preview("a.parquet", broken)
            assert found.kind is PreviewKind.BINARY
            assert "Parquet" in found.message


class TestImages:
    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("png", png(7, 5, 1, bytes(35))),
            ("gif", b"GIF89a" + struct.pack("<HH", 7, 5) + bytes(20)),
            ("bmp", b"BM" + bytes(12) + struct.pack("<Iii", 40, 7, -5) + bytes(30)),
            (
                "jpeg",
                b"\xff\xd8\xff\xe0"
                + struct.pack(">H", 16)
                + bytes(14)
                + b"\xff\xc2"
                + struct.pack(">HBHH", 17, 8, 5, 7),
            ),
            ("webp", b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x06\0\0\x04\0\0"),
            ("webp", b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 6 | 4 << 14)),
            ("webp", b"RIFF\0\0\0\0WEBPVP8 " + bytes(7) + b"\x9d\x01\x2a" + struct.pack("<HH", 7, 5)),
        ],
    )
    def test_format_and_size_come_from_the_header(self, name: str, data: bytes) -> None:
        found = preview("x", data)
        assert found.kind is PreviewKind.IMAGE
        assert found.image is not None
        assert (found.image.format, found.image.width, found.image.height) == (name, 7, 5)
        assert found.image.shown
        assert found.media_type == f"image/{name}"

    def test_tiff_is_known_and_not_drawn(self) -> None:
        entries = struct.pack("<HHII", 256, 3, 1, 7) + struct.pack("<HHII", 257, 4, 1, 5)
        found = preview("x.tif", b"II*\0" + struct.pack("<IH", 8, 2) + entries)
        assert found.image is not None
        assert (found.image.width, found.image.height, found.image.shown) == (7, 5, False)
        assert "TIFF" in found.message

    def test_an_absurd_size_is_told_and_not_drawn(self) -> None:
        head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 2**31 - 1, 2**31 - 1) + bytes(20)
        found = preview("x.png", head)
        assert found.kind is PreviewKind.IMAGE
        assert found.image is not None
        assert not found.image.shown
        assert "too many" in found.message

    @pytest.mark.parametrize(
        "data",
        [
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0\0",
            b"II*\0",
            b"GIF89a\0\0\0\0",
            b"\xff\xd8" + b"\xff" * 65_000,
        ],
    )
    def test_a_damaged_header_is_no_image(self, data: bytes) -> None:
        found = preview("x", data)
        assert found.kind is PreviewKind.BINARY
        assert "no valid size" in found.message


class TestAudio:
    def test_wav_tells_its_duration(self) -> None:
        stream = io.BytesIO()
        with wave.open(stream, "wb") as sound:
            sound.setnchannels(2)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(4 * 4000))
        found = preview("a.wav", stream.getvalue())
        assert found.kind is PreviewKind.AUDIO
        assert found.audio is not None
        assert (found.audio.seconds, found.audio.rate, found.audio.channels) == (0.5, 8000, 2)

    def test_others_by_their_first_bytes(self) -> None:
        for name, head in (
            ("flac", b"fLaC"),
            ("ogg", b"OggS"),
            ("mp3", b"ID3\x04"),
            ("mp3", b"\xff\xfb\x90\0"),
        ):
            found = preview("x", head + bytes(60))
            assert found.audio is not None
            assert found.audio.format == name

    def test_a_damaged_header_ends(self) -> None:
        found = preview("a.wav", b"RIFF\0\0\0\0WAVE" + b"junk\xff\xff\xff\xff" + bytes(100))
        assert found.audio is not None
        assert found.audio.seconds is None


class TestArrays:
    def saved(self, array: Any, **options: Any) -> bytes:
        stream = io.BytesIO()
        np.save(stream, array, **options)
        return stream.getvalue()

    def test_type_shape_and_numbers(self) -> None:
        array = np.array([[1.0, 2.0], [float("nan"), float("inf")]], np.float32)
        found = preview("x/a.npy", self.saved(array))
        assert found.kind is PreviewKind.ARRAYS
        assert found.arrays is not None
        (one,) = found.arrays
        assert (one.name, one.dtype, one.shape, one.seen, one.nans) == ("a", "float32", [2, 2], 4, 1)
        assert (one.min, one.max, one.mean) == (1.0, 2.0, 1.5)
        assert one.first == [1.0, 2.0, "NaN", "Infinity"]

    def test_an_archive_of_arrays(self) -> None:
        stream = io.BytesIO()
        np.savez_compressed(stream, x=np.arange(6), y=np.ones((2, 3), bool))
        found = preview("a.npz", stream.getvalue()).arrays
        assert found is not None
        assert [(a.name, a.shape) for a in found] == [("x", [6]), ("y", [2, 3])]

    def test_objects_are_not_unpickled(self, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> Any:
                return os.mkdir, (str(tmp_path / "hacked"),)

        found = preview("a.npy", self.saved(np.array([Evil()], object), allow_pickle=True))
        assert found.arrays is not None
        assert found.arrays[0].dtype == "object"
        for name in ("model.pkl", "model.joblib", "model.pt"):
            assert preview(name, pickle.dumps(Evil())).kind is PreviewKind.MODEL
        assert not (tmp_path / "hacked").exists()

    @pytest.mark.parametrize(
        "header",
        [
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999, 9999999), }",
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (2**99,), }",
            b"{'descr': '|V0', 'fortran_order': False, 'shape': (5,), }",
            b"{'descr': '<f8', 'shape': (-3,), 'fortran_order': False}",
            b"(" * 5000,
            b"__import__('os').system('true')",
        ],
    )
    def test_absurd_headers_end_in_a_clear_kind(self, header: bytes) -> None:
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + bytes(64)
        assert preview("a.npy", data).kind in (PreviewKind.ARRAYS, PreviewKind.BINARY)

    def test_a_bomb_in_an_archive_is_not_unpacked(self) -> None:
        stream = io.BytesIO()
        shape = (2**30,)
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made, made.open("x.npy", "w") as member:
            np.lib.format.write_array_header_1_0(
                member, {"descr": "<f8", "fortran_order": False, "shape": shape}
            )  # type: ignore[arg-type]
            for _ in range(64):
                member.write(bytes(2**20))
        found = preview("a.npz", stream.getvalue()).arrays
        assert found is not None
        assert found[0].shape == [2**30]
        assert found[0].seen * 8 <= 2**20

    def test_a_directory_of_very_many_entries_is_not_read(self) -> None:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as made:
            for n in range(12_000):
                made.writestr(zipfile.ZipInfo(f"{'n' * 200}{n}.npy"), b"")
        found = preview("a.npz", stream.getvalue())
        assert found.kind is PreviewKind.BINARY
        assert "too large" in found.message

    @pytest.mark.parametrize("data", [b"\x93NUMPY", b"\x93NUMPY\x09\x00aaaa", b"PK\x03\x04rest"])
    def test_damaged_ones_are_binary(self, data: bytes) -> None:
        name = "a.npz" if data.startswith(b"PK") else "a.npy"
        found = preview(name, data)
        assert found.kind is PreviewKind.BINARY
        assert "no valid" in found.message


class TestModels:
    def zipped(self, **files: bytes) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as made:
            for name, data in files.items():
                made.writestr(name.replace("__", "/").replace("_dot_", "."), data)
        return stream.getvalue()

    def test_pytorch_and_keras_by_what_is_in_the_archive(self) -> None:
        found = preview("m.pt", self.zipped(net__data_dot_pkl=b"x", net__data__0=b"1")).model
        assert found is not None
        assert (found.framework, found.format, found.facts) == ("PyTorch", "pickle", {"tensors": "1"})
        kept = self.zipped(config_dot_json=b"{}", metadata_dot_json=b'{"keras_version": "3.9"}')
        found = preview("m.keras", kept).model
        assert found is not None
        assert (found.framework, found.facts) == ("Keras", {"keras": "3.9"})

    def test_safetensors_tell_their_size(self) -> None:
        head = json.dumps(
            {"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {}}
        ).encode()
        found = preview("m.safetensors", struct.pack("<Q", len(head)) + head + bytes(24)).model
        assert found is not None
        assert found.facts == {"tensors": "1", "parameters": "6"}
        absurd = preview("m.safetensors", struct.pack("<Q", 2**60) + b"{}").model
        assert absurd is not None
        assert absurd.facts == {"header": "damaged"}

    @pytest.mark.parametrize(
        ("name", "data", "framework"),
        [
            ("m.onnx", b"\x08\x07\x12\0", "ONNX"),
            ("m.h5", b"\x89HDF\r\n\x1a\n\0", "Keras"),
            ("m.tflite", b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
            ("m.gguf", b"GGUF\0\0", "llama.cpp"),
            ("m.joblib", b"\x80\x04", "scikit-learn"),
        ],
    )
    def test_others_by_name_and_first_bytes(self, name: str, data: bytes, framework: str) -> None:
        found = preview(name, data).model
        assert found is not None
        assert found.framework == framework

    def test_another_archive_is_binary(self) -> None:
        assert preview("a.zip", self.zipped(a=b"1")).kind is PreviewKind.BINARY


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.json", "a.jsonl", "a.npy", "a.npz", "a.parquet", "a.pt", "a.safetensors", "a.wav", "a"],
)
def test_random_bytes_end_in_some_kind(name: str) -> None:
    random = np.random.default_rng(7)
    marks = [
        b"",
        b"\x93NUMPY\x01\0",
        b"PK\x03\x04",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WAVE",
        b"II*\0",
        b"\xff\xd8\xff",
    ]
    for mark in marks:
        for size in (0, 1, 30, 3000):
            assert preview(name, mark + random.bytes(size)).size == len(mark) + size


def test_numbers_of_extremes_stay_json() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([1.7e308, -1.7e308, 1.7e308]))
    found = preview("a.npy", stream.getvalue()).arrays
    assert found is not None
    assert found[0].max is not None
    assert math.isfinite(found[0].max)
