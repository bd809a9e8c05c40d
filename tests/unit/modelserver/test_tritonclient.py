"""The unmodified Triton client gets from an endpoint what ONNX Runtime gives in process."""

from __future__ import annotations

from collections.abc import Iterator

import modelserver_kit as kit
import numpy as np
import onnxruntime as ort
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

HEADERS = {"Authorization": f"Bearer {kit.TOKEN}"}

SAMPLES = {
    "BOOL": np.array([[True, False], [False, True]]),
    "UINT8": np.array([[0, 255], [1, 2]], "u1"),
    "UINT16": np.array([[0, 65535], [1, 2]], "u2"),
    "UINT32": np.array([[0, 2**32 - 1], [1, 2]], "u4"),
    "UINT64": np.array([[0, 2**64 - 1], [1, 2]], "u8"),
    "INT8": np.array([[-128, 127], [1, 2]], "i1"),
    "INT16": np.array([[-(2**15), 2**15 - 1], [1, 2]], "i2"),
    "INT32": np.array([[-(2**31), 2**31 - 1], [1, 2]], "i4"),
    "INT64": np.array([[-(2**63), 2**63 - 1], [1, 2]], "i8"),
    "FP16": np.array([[1.5, -0.1], [65504, 0]], "f2"),
    "FP32": np.array([[1.5, -0.1], [3.4e38, 1e-40]], "f4"),
    "FP64": np.array([[1.5, -0.1], [1.7e308, 5e-324]], "f8"),
    "BYTES": np.array([["a", "é\n☃"], ["", "x" * 1000]], dtype=object),
}


def client(server: kit.Server, endpoint: str) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(f"127.0.0.1:{server.port}/endpoints/p/{endpoint}")


@pytest.fixture
def mlp(server: kit.Server) -> Iterator[triton.InferenceServerClient]:
    with client(server, "mlp") as connected:
        yield connected


def given(name: str, array: np.ndarray, datatype: str, binary: bool) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "json in"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["binary out", "json out"])
def test_an_mlp_answers_as_in_process(
    server: kit.Server, mlp: triton.InferenceServerClient, binary_in: bool, binary_out: bool
) -> None:
    x = np.random.default_rng(1).normal(size=(5, 8)).astype("f4")
    session = ort.InferenceSession(str(server.folder / "mlp.onnx"), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(["y"], {"x": x})
    result = mlp.infer(
        "m",
        [given("x", x, "FP32", binary_in)],
        outputs=[triton.InferRequestedOutput("y", binary_data=binary_out)],
        request_id="seven",
        headers=dict(HEADERS),
    )
    np.testing.assert_array_equal(result.as_numpy("y"), wanted)
    assert result.get_response()["id"] == "seven"
    assert result.get_response()["model_version"] == "1"


# FP16 has no JSON form in the protocol.
FORMS = [(name, form) for name in kit.ONNX_TYPES for form in ("binary", "json")]
FORMS.remove(("FP16", "json"))


@pytest.mark.parametrize(("datatype", "form"), FORMS)
def test_every_datatype_comes_back_unchanged(server: kit.Server, datatype: str, form: str) -> None:
    binary = form == "binary"
    array = SAMPLES[datatype]
    with client(server, datatype.lower()) as connected:
        result = connected.infer(
            "m",
            [given("x", array, datatype, binary)],
            outputs=[triton.InferRequestedOutput("y", binary_data=binary)],
            headers=dict(HEADERS),
        )
    found = result.as_numpy("y")
    if datatype == "BYTES":
        found = np.array([v if isinstance(v, str) else v.decode() for v in found.ravel()])
        array = array.ravel()
    assert found.dtype.kind == "U" or found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_floats_that_are_not_finite_survive(server: kit.Server, binary: bool) -> None:
    array = np.array([[np.nan, np.inf], [-np.inf, 0.1]], "f4")
    with client(server, "fp32") as connected:
        result = connected.infer(
            "m",
            [given("x", array, "FP32", binary)],
            outputs=[triton.InferRequestedOutput("y", binary_data=binary)],
            headers=dict(HEADERS),
        )
    np.testing.assert_array_equal(result.as_numpy("y"), array)


def test_the_outputs_asked_for_come_in_that_order(server: kit.Server) -> None:
    a, b = np.array([[3, 4]], "f4"), np.array([[1, 2]], "f4")
    with client(server, "two") as connected:
        result = connected.infer(
            "two",  # the endpoint's name is taken for the model's
            [given("b", b, "FP32", binary=True), given("a", a, "FP32", binary=True)],
            outputs=[
                triton.InferRequestedOutput("difference", binary_data=True),
                triton.InferRequestedOutput("sum", binary_data=False),
            ],
            headers=dict(HEADERS),
        )
    assert [output["name"] for output in result.get_response()["outputs"]] == ["difference", "sum"]
    np.testing.assert_array_equal(result.as_numpy("difference"), a - b)
    np.testing.assert_array_equal(result.as_numpy("sum"), a + b)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_requests_are_read(
    server: kit.Server, mlp: triton.InferenceServerClient, coding: str
) -> None:
    x = np.ones((1, 8), "f4")
    plain = mlp.infer("m", [given("x", x, "FP32", binary=True)], headers=dict(HEADERS))
    packed = mlp.infer(
        "m",
        [given("x", x, "FP32", binary=True)],
        headers=dict(HEADERS),
        request_compression_algorithm=coding,
    )
    np.testing.assert_array_equal(packed.as_numpy("y"), plain.as_numpy("y"))


def test_health_and_metadata(mlp: triton.InferenceServerClient) -> None:
    assert mlp.is_server_live(headers=dict(HEADERS))
    assert mlp.is_server_ready(headers=dict(HEADERS))
    assert mlp.is_model_ready("m", headers=dict(HEADERS))
    assert mlp.is_model_ready("m", "1", headers=dict(HEADERS))
    assert not mlp.is_model_ready("m", "2", headers=dict(HEADERS))
    assert "binary_tensor_data" in mlp.get_server_metadata(headers=dict(HEADERS))["extensions"]
    assert mlp.get_model_metadata("m", headers=dict(HEADERS)) == {
        "name": "m",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 8]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }


def test_an_error_reaches_the_client_as_its_sentence(mlp: triton.InferenceServerClient) -> None:
    x = np.ones((1, 9), "f4")
    with pytest.raises(InferenceServerException, match=r"shape \[1, 9\] where \[-1, 8\]") as raised:
        mlp.infer("m", [given("x", x, "FP32", binary=True)], headers=dict(HEADERS))
    assert raised.value.status() == "400"
    with pytest.raises(InferenceServerException, match="needs a token"):
        mlp.infer("m", [given("x", x, "FP32", binary=True)])
