"""SageMaker's invocations: bare lists, NumPy's files, and answers in the form that is accepted."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import dialect_kit as kit
import numpy as np
import pytest

from nacre.modelserver.calls import BadRequest

PATH = "invocations"
NPY, NPZ = "application/x-npy", "application/x-npz"
X = np.array([[1, 2, 3], [4, 5.5, -6]], "f4")
TWO = {"a": np.array([[1, 2]], "f4"), "b": np.array([3])}


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def header(text: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + text.encode() + data


def plain(shape: str, descr: str = "<f4") -> str:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"


class TestJson:
    def test_a_bare_list_has_one_entry_per_row(self) -> None:
        kit.same(kit.decode(PATH, X.tolist(), content_type="application/json").feed, {"x": X})
        by_name = [{"a": [1, 2], "b": 3}]
        kit.same(kit.decode(PATH, by_name, kit.TWO).feed, TWO)

    @pytest.mark.parametrize(
        "kind", ["application/json; charset=utf-8", "application/x-www-form-urlencoded", ""]
    )
    def test_json_is_what_no_other_type_announces(self, kind: str) -> None:
        kit.same(kit.decode(PATH, {"instances": X.tolist()}, content_type=kind).feed, {"x": X})

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ([], "is empty"),
            ([[1, 2]], "shape [1, 2]"),
            (3, "a JSON object or a list of rows"),
            ("text", "a JSON object or a list of rows"),
            (b"PAR1\x00", "not JSON"),
            (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
        ],
    )
    def test_wrong_bodies(self, body: Any, said: str) -> None:
        assert said in kit.refused(PATH, body)


class TestNpy:
    @pytest.mark.parametrize(
        "array",
        [X, X.astype("f8"), X.astype(">f4"), np.asfortranarray(X), X.astype("f2")],
        ids=["as it is", "f8", "big endian", "Fortran's order", "f2"],
    )
    def test_floats(self, array: Any) -> None:
        kit.same(kit.decode(PATH, npy(array), content_type=NPY).feed, {"x": X})

    def test_whole_numbers_make_floats_and_other_whole_numbers(self) -> None:
        kit.same(kit.decode(PATH, npy(np.array([[1, 2, 3]])), content_type=NPY).feed, {"x": X[:1]})
        found = kit.decode(PATH, npy(np.array([[1, 255]])), kit.one("UINT8", [-1, 2]), content_type=NPY)
        kit.same(found.feed, {"x": np.array([[1, 255]], "u1")})

    @pytest.mark.parametrize("array", [np.array(["a", "é"]), np.array([b"a", b"\xc3\xa9"])])
    def test_text(self, array: Any) -> None:
        kit.same(
            kit.decode(PATH, npy(array), kit.TEXT, content_type=NPY).feed,
            {"t": np.array(["a", "é"], object)},
        )

    def test_bool_and_a_bare_value(self) -> None:
        to = kit.one("BOOL", [-1])
        kit.same(
            kit.decode(PATH, npy(np.array([True])), to, content_type=NPY).feed, {"x": np.array([True])}
        )
        to = kit.one("FP64", [])
        kit.same(kit.decode(PATH, npy(np.array(2.5)), to, content_type=NPY).feed, {"x": np.array(2.5)})

    def test_later_versions_of_the_format(self) -> None:
        for version in (b"\x02\x00", b"\x03\x00"):
            body = header(plain("(2, 3)"), X.tobytes(), version)
            kit.same(kit.decode(PATH, body, content_type=NPY).feed, {"x": X})

    @pytest.mark.parametrize(
        ("body", "to", "said"),
        [
            (npy(np.array([{}]), allow_pickle=True), kit.ROWS, "Python objects, which are pickled"),
            (npy(np.array([[1, 2]])), kit.ROWS, "shape [1, 2] where [-1, 3]"),
            (npy(X), kit.one("INT64", [-1, 3]), "has type float32 where INT64"),
            (npy(np.array([1])), kit.one("BOOL", [-1]), "has type int64 where BOOL"),
            (npy(np.array([300])), kit.one("INT8", [-1]), "INT8 cannot hold"),
            (npy(np.array([[1e39, 1, 1]])), kit.ROWS, "FP32 cannot hold"),
            (npy(np.array([b"\xff"])), kit.TEXT, "not Unicode"),
            (npy(np.array(["a"])).replace(b"a\0\0\0", b"\xff" * 4), kit.TEXT, "not Unicode"),
            (npy(np.array(["\ud800"])), kit.TEXT, "not Unicode"),
            (npy(np.zeros(2, [("a", "f4")])), kit.ROWS, "not one of a plain array"),
            (npy(np.zeros((1, 3), "c8")), kit.ROWS, "not one of a plain array"),
            (npy(X), kit.TWO, "has 2 inputs"),
            (npy(X)[:-1], kit.ROWS, "23 bytes of data where its shape [2, 3] of float32 needs 24"),
            (npy(X) + b"0", kit.ROWS, "25 bytes"),
            (npy(X)[:40], kit.ROWS, "not one of a plain array"),
            (b"", kit.ROWS, "not an array"),
            (b"\x93NUMPY\x01\x00", kit.ROWS, "not an array"),
            (b"\x93NUMPY\x09\x00" + npy(X)[8:], kit.ROWS, "not an array"),
            (header(plain("(1000000000000, 3)")), kit.ROWS, "0 bytes of data where its shape"),
            (header(plain("(0, 3)", "<U0")), kit.TEXT, "0 bytes of data"),
            (header(plain("(1, 3)", "<f3"), b"0" * 9), kit.ROWS, "no array type f3"),
            (header(plain("(" + "9" * 5000 + ",)")), kit.ROWS, "not one of a plain"),
            (header(plain("(" + "9" * 3000 + ",)")), kit.ROWS, "too large"),
            (header(plain("(" + "1, " * 40 + ")"), b"0000"), kit.ROWS, "too large"),
            (header(plain("(2 3,)"), b"0" * 24), kit.ROWS, "too large"),
            (header(plain("__import__('os').abort()")), kit.ROWS, "not one of a plain"),
            (header("(" * 3000), kit.ROWS, "not one of a plain"),
            (header("", version=b"\x02\x00"), kit.ROWS, "not one of a plain"),
        ],
    )  # fmt: skip
    def test_wrong_files(self, body: bytes, to: Any, said: str) -> None:
        assert said in kit.refused(PATH, body, to, content_type=NPY)


class TestNpz:
    def test_arrays_by_name(self) -> None:
        kit.same(kit.decode(PATH, npz(**TWO), kit.TWO, content_type=NPZ).feed, TWO)

    def test_a_single_array_may_have_any_name(self) -> None:
        kit.same(kit.decode(PATH, npz(arr_0=X), content_type=NPZ).feed, {"x": X})

    @pytest.mark.parametrize(
        ("body", "to", "said"),
        [
            (b"PK\x03\x04 no zip", kit.ROWS, "no archive of arrays"),
            (npz(**TWO)[:-30], kit.TWO, "no archive of arrays"),
            (npz(a=TWO["a"]), kit.TWO, "not one array for each input"),
            (npz(a=TWO["a"], b=TWO["b"], c=X), kit.TWO, "not one array for each input"),
            (npz(), kit.ROWS, "not one array for each input"),
            (npz(x=np.zeros((6_000_000, 3), "f4")), kit.ROWS, "over the limit of 67108864"),
            (npz(x=np.zeros((1, 2), "f4")), kit.ROWS, "shape [1, 2]"),
        ],
    )
    def test_wrong_archives(self, body: bytes, to: Any, said: str) -> None:
        assert said in kit.refused(PATH, body, to, content_type=NPZ)

    def test_another_compression_and_a_size_that_lies(self) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("x.npy", npy(X))
        assert "numpy.savez does not use" in kit.refused(PATH, file.getvalue(), content_type=NPZ)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", npy(np.zeros((20_000_000, 1), "u1")))
        size = (20_000_128).to_bytes(4, "little")
        assert size in file.getvalue()
        lying = file.getvalue().replace(size, (152).to_bytes(4, "little"))
        assert "no archive" in kit.refused(PATH, lying, content_type=NPZ)


class TestAccept:
    Y = np.array([[0.1, 2], [3, 4.5]], "f4")

    def call(self, accept: str, to: Any = kit.ROWS, body: Any = None) -> Any:
        return kit.decode(PATH, body or {"instances": X.tolist()}, to, accept=accept)

    @pytest.mark.parametrize(
        "accept",
        ["", "*/*", "application/json", "text/html, application/*;q=0.5", "APPLICATION/JSON; indent=1"],
    )
    def test_json(self, accept: str) -> None:
        response = kit.raw(self.call(accept), [self.Y])
        assert (response.kind, json.loads(response.body)) == (
            "application/json",
            {"predictions": [[0.1, 2], [3, 4.5]]},
        )

    def test_csv(self) -> None:
        response = kit.raw(self.call("text/csv"), [self.Y])
        assert (response.kind, response.body) == ("text/csv", b"0.1,2.0\n3.0,4.5\n")

    def test_csv_of_several_outputs(self) -> None:
        call = self.call("text/csv", kit.TWO, [{"a": [1, 2], "b": 3}] * 2)
        texts = np.array(["a,b", "é"], object)
        assert kit.raw(call, [self.Y, texts], kit.TWO).body.decode() == '0.1,2.0,"a,b"\n3.0,4.5,é\n'
        with pytest.raises(BadRequest, match="no rows in common"):
            kit.raw(call, [self.Y, texts[:1]], kit.TWO)
        with pytest.raises(BadRequest, match="no rows in common"):
            kit.raw(self.call("text/csv"), [np.array(1.0, "f4")])

    def test_npy(self) -> None:
        response = kit.raw(self.call(NPY), [self.Y])
        assert response.kind == NPY
        kit.same({"y": np.load(io.BytesIO(response.body))}, {"y": self.Y})
        call = self.call(NPY, kit.TWO, [{"a": [1, 2], "b": 3}] * 2)
        with pytest.raises(BadRequest, match="2 outputs: accept application/x-npz"):
            kit.raw(call, [self.Y, self.Y], kit.TWO)

    def test_npz(self) -> None:
        call = self.call(NPZ, kit.TWO, [{"a": [1, 2], "b": 3}] * 2)
        response = kit.raw(call, [self.Y, np.array(["p", "é"], object)], kit.TWO)
        found = np.load(io.BytesIO(response.body))
        np.testing.assert_array_equal(found["sum"], self.Y)
        assert found["label"].tolist() == ["p", "é"]

    def test_nothing_that_is_offered(self) -> None:
        said = kit.refused(PATH, {"instances": X.tolist()}, accept="application/x-protobuf")
        assert "'application/x-protobuf' is not offered" in said
