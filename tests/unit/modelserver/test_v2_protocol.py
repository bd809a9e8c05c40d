"""What the infer route takes, and what it says when it does not."""

from __future__ import annotations

import json
import struct
from typing import Any

import modelserver_kit as kit
import numpy as np
import pytest

ONE = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


def x(data: Any = None, shape: Any = None, datatype: Any = "FP32", name: Any = "x") -> dict[str, Any]:
    shape = [1, 8] if shape is None else shape
    return {"inputs": [kit.tensor(name, datatype, shape, ONE if data is None else data)]}


def test_flat_and_nested_data_are_the_same(server: kit.Server) -> None:
    flat = server.infer("p/mlp", x(ONE * 2, [2, 8])).json()
    nested = server.infer("p/mlp", x([ONE, ONE], [2, 8])).json()
    assert flat == nested
    (output,) = flat["outputs"]
    assert output["shape"] == [2, 3]
    assert sum(output["data"]) == pytest.approx(2)
    assert "id" not in flat


def test_an_fp32_is_written_with_the_digits_of_an_fp32(server: kit.Server) -> None:
    text = server.infer("p/fp32", x([0.1, 16777216], [1, 2])).text
    assert '"data":[0.1,16777216.0]' in text


def test_values_that_are_not_finite_are_strings_in_json(server: kit.Server) -> None:
    body = (
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[NaN,"Infinity",-Infinity,0.1]}]}'
    )
    answer = server.infer("p/fp32", body)
    assert answer.json()["outputs"][0]["data"] == ["NaN", "Infinity", "-Infinity", 0.1]


def test_an_empty_batch_is_answered_empty(server: kit.Server) -> None:
    (output,) = server.infer("p/mlp", x([], [0, 8])).json()["outputs"]
    assert (output["shape"], output["data"]) == ([0, 3], [])


def test_parameters_that_mean_nothing_here_are_ignored(server: kit.Server) -> None:
    body = {**x(), "parameters": {"priority": 1, "timeout": 5}, "id": "a"}
    answer = server.infer("p/mlp", body)
    assert answer.status_code == 200
    assert answer.json()["id"] == "a"


def test_binary_data_output_makes_all_outputs_binary_unless_one_says_otherwise(
    server: kit.Server,
) -> None:
    body = {
        "inputs": [kit.tensor("a", "FP32", [1, 2], [3, 4]), kit.tensor("b", "FP32", [1, 2], [1, 2])],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "sum"}, {"name": "difference", "parameters": {"binary_data": False}}],
    }
    answer = server.infer("p/two", body)
    length = int(answer.headers["Inference-Header-Content-Length"])
    assert answer.headers["Content-Type"] == "application/octet-stream"
    head = json.loads(answer.content[:length])
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert "data" not in head["outputs"][0]
    assert head["outputs"][1]["data"] == [2, 2]
    assert np.frombuffer(answer.content[length:], "<f4").tolist() == [4, 6]


def test_a_body_without_json_is_the_only_input(server: kit.Server) -> None:
    raw = np.array([ONE, ONE], "<f4").tobytes()
    answer = server.infer("p/mlp", raw, Inference_Header_Content_Length="0")
    length = int(answer.headers["Inference-Header-Content-Length"])
    assert json.loads(answer.content[:length])["outputs"][0]["shape"] == [2, 3]
    assert len(answer.content) == length + 24
    cut = server.infer("p/mlp", raw[:-1], Inference_Header_Content_Length="0")
    assert (cut.status_code, "63 bytes" in cut.text) == (400, True)
    many = server.infer("p/two", raw, Inference_Header_Content_Length="0")
    assert (many.status_code, "has 2" in many.text) == (400, True)


def inputs(*items: Any) -> dict[str, Any]:
    return {"inputs": list(items)}


A = kit.tensor("a", "FP32", [1, 2], [1, 2])
B = kit.tensor("b", "FP32", [1, 2], [1, 2])

WRONG: list[tuple[str, str, Any, list[str]]] = [
    ("not JSON", "mlp", b"hello", ["not JSON", "line 1"]),
    ("JSON cut short", "mlp", b'{"inputs":[NaN', ["not JSON"]),
    ("deep JSON", "mlp", b"[" * 100000, ["not JSON"]),
    ("not UTF-8", "mlp", b'{"id":"\xff"}', ["not JSON"]),
    ("empty", "mlp", b"", ["not JSON"]),
    ("a list", "mlp", [], ["JSON object"]),
    ("no inputs", "mlp", {}, ["inputs", "'x' FP32 [-1, 8]"]),
    ("inputs not objects", "mlp", inputs(1), ["object"]),
    ("wrong name", "mlp", x(name="z"), ["'z'", "'x' FP32 [-1, 8]"]),
    ("name not text", "mlp", x(name=["x"]), ["there is no input"]),
    ("wrong datatype", "mlp", x(datatype="FP64"), ["'FP64'", "FP32 is expected"]),
    ("castable datatype", "mlp", x([1] * 8, datatype="INT32"), ["'INT32'", "FP32 is expected"]),
    ("datatype not text", "mlp", x(datatype=[1]), ["FP32 is expected"]),
    ("wrong size", "mlp", x(ONE[:7], [1, 7]), ["[1, 7]", "[-1, 8]", "-1 is any"]),
    ("wrong rank", "mlp", x(ONE, [8]), ["[8]", "[-1, 8]"]),
    ("negative size", "mlp", x(ONE, [-1, 8]), ["shape"]),
    ("shape not numbers", "mlp", x(ONE, ["1", 8]), ["shape"]),
    ("shape too large", "mlp", x(ONE, [2**60, 8]), ["too large"]),
    ("no shape", "mlp", inputs({"name": "x", "datatype": "FP32", "data": ONE}), ["shape"]),
    ("no data", "mlp", inputs({"name": "x", "datatype": "FP32", "shape": [1, 8]}), ['no \\"data']),
    ("too few", "mlp", x(ONE[:7]), ["7 elements", "8"]),
    ("too many", "mlp", x([*ONE, 1]), ["9 elements", "8"]),
    ("ragged", "mlp", x([ONE, ONE[:7]], [2, 8]), ["ragged"]),
    ("ragged depth", "mlp", x([ONE, 1], [2, 8]), ["ragged"]),
    ("text for a number", "mlp", x(["1"] * 8), ["text", "FP32 needs numbers"]),
    ("null for a number", "mlp", x([None] * 8), ["null", "numbers"]),
    ("an object for a number", "mlp", x([{}] * 8), ["an object", "numbers"]),
    ("data not a list", "mlp", x(5), ["list"]),
    ("an FP32 too large", "fp32", x([1e39, 0], [1, 2]), ["FP32 cannot hold"]),
    ("a fraction for an integer", "int64", x([1.5, 2], [1, 2], "INT64"), ["fraction", "INT64"]),
    ("over the range", "uint8", x([256, 0], [1, 2], "UINT8"), ["256", "UINT8 cannot hold"]),
    ("under the range", "uint64", x([-1, 0], [1, 2], "UINT64"), ["-1", "UINT64 cannot hold"]),
    ("beyond 64 bits", "int64", x([2**64, 0], [1, 2], "INT64"), ["INT64"]),
    ("true for a number", "mlp", x([*ONE[:7], True]), ["true or false", "FP32 needs numbers"]),
    ("true for a whole number", "int64", x([True, 2], [1, 2], "INT64"), ["true or false"]),
    ("a number for BOOL", "bool", x([1, 0], [1, 2], "BOOL"), ["true and false"]),
    ("a number for BYTES", "bytes", x(["a", 1], [1, 2], "BYTES"), ["strings"]),
    ("FP16 as JSON", "fp16", x([1, 2], [1, 2], "FP16"), ["FP16", "binary_data_size"]),
    ("missing input", "two", inputs(A), ["input 'b' is missing", "'a' FP32"]),
    ("twice", "two", inputs(A, A), ["'a' is given twice"]),
    ("unknown output", "two", {**inputs(A, B), "outputs": [{"name": "q"}]}, ["'q'", "'sum'"]),
    ("output twice", "two", {**inputs(A, B), "outputs": [{"name": "sum"}] * 2}, ["twice"]),
    ("outputs not a list", "two", {**inputs(A, B), "outputs": 1}, ["outputs"]),
    ("parameters not an object", "mlp", {**x(), "parameters": 1}, ["parameters"]),
    ("flag not a flag", "mlp", {**x(), "parameters": {"binary_data_output": 1}}, ["true or false"]),
    ("id not text", "mlp", {**x(), "id": 5}, ["id"]),
    (
        "classification",
        "mlp",
        {**x(), "outputs": [{"name": "y", "parameters": {"classification": 2}}]},
        ["classification"],
    ),
    (
        "shared memory",
        "mlp",
        inputs({**x()["inputs"][0], "parameters": {"shared_memory_region": "r"}}),
        ["shared memory"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("endpoint", "body", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_a_wrong_request_is_told_what_was_expected(
    server: kit.Server, endpoint: str, body: Any, said: list[str]
) -> None:
    answer = server.infer(f"p/{endpoint}", body)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    for part in said:
        assert part in answer.text


def binary(datatype: str, raw: bytes, count: int = 2, size: int | None = None) -> tuple[bytes, str]:
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "datatype": datatype,
                    "shape": [1, count],
                    "parameters": {"binary_data_size": len(raw) if size is None else size},
                }
            ]
        }
    ).encode()
    return head + raw, str(len(head))


WRONG_BINARY: list[tuple[str, str, bytes, int | None, list[str]]] = [
    ("too few bytes", "FP32", b"1234", None, ["4 bytes", "2 elements of FP32, 8 bytes"]),
    ("fewer than announced", "FP32", b"1234", 8, ["announces 8", "only 4"]),
    ("more than announced", "FP32", b"123456789", 8, ["1 bytes follow"]),
    ("negative", "FP32", b"12345678", -8, ["binary_data_size"]),
    ("not a BOOL", "BOOL", b"\x01\x02", None, ["BOOL"]),
    ("too few strings", "BYTES", struct.pack("<I", 1) + b"a", None, ["2 strings"]),
    ("one string of two", "BYTES", struct.pack("<I", 5) + b"abcde", None, ["after 1 strings"]),
    ("string cut short", "BYTES", struct.pack("<II", 0, 9) + b"a", None, ["string 1", "9 bytes"]),
    ("string not UTF-8", "BYTES", struct.pack("<I", 1) + b"\xff" + struct.pack("<I", 0), None, ["UTF-8"]),
    ("bytes after strings", "BYTES", struct.pack("<II", 0, 0) + b"abc", None, ["3 bytes after"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("datatype", "raw", "size", "said"),
    [case[1:] for case in WRONG_BINARY],
    ids=[case[0] for case in WRONG_BINARY],
)
def test_wrong_binary_data_is_told_what_was_expected(
    server: kit.Server, datatype: str, raw: bytes, size: int | None, said: list[str]
) -> None:
    body, length = binary(datatype, raw, size=size)
    answer = server.infer(f"p/{datatype.lower()}", body, Inference_Header_Content_Length=length)
    assert answer.status_code == 400, answer.text
    for part in said:
        assert part in answer.text


@pytest.mark.parametrize(
    ("length", "said"), [("9999", "9999"), ("-1", "number"), ("x", "number"), ("1" * 20, "number")]
)
def test_a_wrong_header_length_is_told(server: kit.Server, length: str, said: str) -> None:
    answer = server.infer("p/mlp", x(), Inference_Header_Content_Length=length)
    assert answer.status_code == 400
    assert said in answer.text


def test_an_fp16_output_as_json_is_told_to_ask_for_binary(server: kit.Server) -> None:
    body, length = binary("FP16", np.ones(2, "<f2").tobytes())
    answer = server.infer("p/fp16", body, Inference_Header_Content_Length=length)
    assert answer.status_code == 400
    assert "binary_data" in answer.json()["error"]


def test_a_wrong_compression_is_told(server: kit.Server) -> None:
    unknown = server.infer("p/mlp", x(), Content_Encoding="br")
    assert (unknown.status_code, "gzip or deflate" in unknown.text) == (400, True)
    broken = server.infer("p/mlp", b"nonsense", Content_Encoding="gzip")
    assert (broken.status_code, "gzip" in broken.text) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "v2/models/m/infer", 405, "POST"),
        ("POST", "v2/models/m", 405, "GET"),
        ("DELETE", "v2", 405, "GET"),
        ("GET", "v2/models/other", 404, "'m'"),
        ("POST", "v2/models/other/infer", 404, "'m'"),
        ("POST", "v2/models/m/versions/2/infer", 404, "version 1"),
        ("GET", "v2/models/m/versions", 404, "v2/models"),
        ("GET", "v2/models/m/other", 404, "infer"),
        ("GET", "v3/models/m", 404, "v2/models"),
        ("GET", "", 200, "v2/models"),
        ("GET", "v2/models/m/versions/1/ready", 200, "true"),
        ("GET", "v2/models/mlp", 200, "onnxruntime_onnx"),
        ("GET", "v2/models/%6D/ready?verbose=1", 200, "true"),
        ("HEAD", "v2/health/ready", 200, ""),
    ],
)
def test_routes(server: kit.Server, method: str, path: str, status: int, said: str) -> None:
    raw = server.connect()
    raw.send(kit.request(b"", f"/endpoints/p/mlp/{path}", method=method))
    found, headers, body = raw.answer(body=method != "HEAD")
    raw.close()
    assert (found, said.encode() in body) == (status, True), body
    assert int(headers["content-length"]) > 0


def test_ready_has_the_keys_of_the_specification(server: kit.Server) -> None:
    assert server.get("/endpoints/p/mlp/v2/models/m/ready").json() == {"live": True, "ready": True}


def test_a_slow_model_answers_while_a_fast_one_is_not_held_up(server: kit.Server) -> None:
    body = json.dumps({"inputs": [kit.tensor("x", "FP32", [1, 1], [2.5])]}).encode()
    slow, fast = server.connect(), server.connect()
    slow.send(kit.request(body, "/endpoints/p/slow/v2/models/m/infer") * 20)
    for _ in range(20):
        fast.send(kit.request(json.dumps(x()).encode()))
        assert fast.answer()[0] == 200
    for _ in range(20):
        status, _, content = slow.answer()
        assert (status, json.loads(content)["outputs"][0]["data"]) == (200, [2.5])
    slow.close()
    fast.close()
