"""The unmodified gRPC clients of Triton get from an endpoint what ONNX Runtime gives in process."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import modelserver_kit as kit
import numpy as np
import onnxruntime as ort
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from nacre.schema.serving import ServedEndpoint, TokenGrant

HEADERS = {"authorization": f"Bearer {kit.TOKEN}"}
METADATA = (("authorization", f"Bearer {kit.TOKEN}"),)
CODE = grpc.StatusCode

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
    "FP16": np.array([[1.5, -0.1], [65504, np.nan]], "f2"),
    "FP32": np.array([[1.5, -0.1], [3.4e38, np.inf]], "f4"),
    "FP64": np.array([[1.5, -0.1], [1.7e308, 5e-324]], "f8"),
    "BYTES": np.array([["a", "é\n☃"], ["", "x" * 1000]], dtype=object),
}
FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


@pytest.fixture(scope="module")
def client(server: kit.Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as connected:
        yield connected


@pytest.fixture(scope="module")
def stub(server: kit.Server) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def given(name: str, array: np.ndarray, datatype: str) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def request(model: str = "p/fp32", **more: Any) -> pb.ModelInferRequest:
    """A valid request to an identity of [-1, 2], with what a test makes of it."""
    made = pb.ModelInferRequest(model_name=model)
    fields = {"name": "x", "datatype": "FP32", "shape": [1, 2]} | more
    made.inputs.add(**fields)
    return made


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value.code(), raised.value.details()


# ---- tensors


def test_an_mlp_answers_as_in_process(server: kit.Server, client: triton.InferenceServerClient) -> None:
    x = np.random.default_rng(1).normal(size=(5, 8)).astype("f4")
    session = ort.InferenceSession(str(server.folder / "mlp.onnx"), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(["y"], {"x": x})
    result = client.infer("p/mlp", [given("x", x, "FP32")], request_id="seven", headers=HEADERS)
    np.testing.assert_array_equal(result.as_numpy("y"), wanted)
    answer = result.get_response()
    assert (answer.id, answer.model_name, answer.model_version) == ("seven", "p/mlp", "1")


@pytest.mark.parametrize("datatype", SAMPLES)
def test_raw_tensors_come_back_unchanged(client: triton.InferenceServerClient, datatype: str) -> None:
    array = SAMPLES[datatype]
    result = client.infer(f"p/{datatype.lower()}", [given("x", array, datatype)], headers=HEADERS)
    found = result.as_numpy("y")
    if datatype == "BYTES":
        found = np.array([one.decode() for one in found.ravel()], dtype=object).reshape(array.shape)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("datatype", FIELDS)
def test_typed_tensors_come_back_typed(
    stub: service_pb2_grpc.GRPCInferenceServiceStub, datatype: str
) -> None:
    values = SAMPLES[datatype].ravel().tolist()
    if datatype == "BYTES":
        values = [one.encode() for one in values]
    asked = request(f"p/{datatype.lower()}", datatype=datatype, shape=[2, 2])
    getattr(asked.inputs[0].contents, FIELDS[datatype]).extend(values)
    answer = stub.ModelInfer(asked, metadata=METADATA)
    assert list(getattr(answer.outputs[0].contents, FIELDS[datatype])) == pytest.approx(values)
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == (datatype, [2, 2])
    assert not answer.raw_output_contents


def test_an_empty_batch(client: triton.InferenceServerClient) -> None:
    result = client.infer("p/mlp", [given("x", np.empty((0, 8), "f4"), "FP32")], headers=HEADERS)
    assert result.as_numpy("y").shape == (0, 3)


def test_the_outputs_asked_for_come_in_that_order(client: triton.InferenceServerClient) -> None:
    a, b = np.array([[3, 4]], "f4"), np.array([[1, 2]], "f4")
    result = client.infer(
        "p/two",
        [given("b", b, "FP32"), given("a", a, "FP32")],
        outputs=[triton.InferRequestedOutput("difference"), triton.InferRequestedOutput("sum")],
        headers=HEADERS,
    )
    assert [output.name for output in result.get_response().outputs] == ["difference", "sum"]
    np.testing.assert_array_equal(result.as_numpy("difference"), a - b)
    np.testing.assert_array_equal(result.as_numpy("sum"), a + b)


# ---- what is about models


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()  # without a token, for probes
    assert client.is_server_ready()
    assert client.get_server_metadata().name == "nacre"
    assert client.is_model_ready("p/mlp", headers=HEADERS)
    assert client.is_model_ready("p/mlp", "1", headers=HEADERS)
    assert not client.is_model_ready("p/mlp", "2", headers=HEADERS)
    assert not client.is_model_ready("p/nothing", headers=HEADERS)
    found = client.get_model_metadata("p/mlp", headers=HEADERS)
    assert (found.name, found.platform, list(found.versions)) == ("p/mlp", "onnxruntime_onnx", ["1"])
    assert [(t.name, t.datatype, list(t.shape)) for t in found.inputs] == [("x", "FP32", [-1, 8])]
    assert [(t.name, t.datatype, list(t.shape)) for t in found.outputs] == [("y", "FP32", [-1, 3])]


def test_probes_need_no_token(server: kit.Server) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"") == b"\x08\x01"
        assert check(b"\x0a\x1einference.GRPCInferenceService") == b"\x08\x01"
        code, text = refusal(lambda: check(b"\x0a\x05other"))
    assert (code, text) == (CODE.NOT_FOUND, "there is no service 'other'")


def test_the_configuration_leaves_out_the_batch(client: triton.InferenceServerClient) -> None:
    config = client.get_model_config("p/mlp", headers=HEADERS).config
    assert config.max_batch_size > 1
    assert [(t.name, t.data_type, list(t.dims)) for t in config.input] == [("x", 11, [8])]
    assert [(t.name, t.data_type, list(t.dims)) for t in config.output] == [("y", 11, [3])]


def test_the_index_has_all_that_the_token_may_call(client: triton.InferenceServerClient) -> None:
    models = client.get_model_repository_index(headers=HEADERS).models
    assert {"p/mlp", "p/two", "p/bytes"} <= {model.name for model in models}
    assert {(model.version, model.state) for model in models} == {("1", "READY")}


def test_a_method_that_is_not_there(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    code, _ = refusal(lambda: stub.ModelStatistics(pb.ModelStatisticsRequest(name="p/mlp")))
    assert code is CODE.UNIMPLEMENTED


# ---- names and tokens


@pytest.fixture
def projects(tmp_path: Path, start: Callable[..., kit.Server]) -> kit.Server:
    """``double`` in two projects, ``alone`` in one; tokens for both, for one, one that is spent."""
    revision = kit.revision(kit.constant(tmp_path / "a.onnx", 1.0))
    other = kit.revision(kit.constant(tmp_path / "b.onnx", 2.0))
    kit.write_routes(
        tmp_path,
        {"a/double": revision, "b/double": other, "b/alone": other},
        {
            "all": TokenGrant(projects=["*"]),
            "of-a": TokenGrant(projects=["a"]),
            "old": TokenGrant(projects=["*"], expires_ms=1),
            "slow": TokenGrant(projects=["*"], rate_per_s=0.001, burst=1),
        },
    )
    return start().wait()


def ask(server: kit.Server, token: str | None, model: str, version: str = "") -> float:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    asked = request(model, shape=[1, 1])
    asked.model_version = version
    asked.inputs[0].contents.fp32_contents.append(0)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        made = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        return made.ModelInfer(asked, metadata=metadata).outputs[0].contents.fp32_contents[0]


def test_a_name_means_the_endpoint_that_the_token_may_call(projects: kit.Server) -> None:
    assert ask(projects, "all", "a/double") == 1.0
    assert ask(projects, "all", "b/double", "1") == 2.0
    assert ask(projects, "all", "alone") == 2.0
    assert ask(projects, "of-a", "double") == 1.0
    assert refusal(lambda: ask(projects, "all", "double")) == (
        CODE.INVALID_ARGUMENT,
        "'double' is an endpoint in several projects: ask for one of a/double, b/double",
    )
    for model, code, sentence in [
        ("alone", CODE.NOT_FOUND, "no endpoint 'alone' that this token may call"),
        ("b/alone", CODE.PERMISSION_DENIED, "may not call endpoints of project 'b'"),
        ("a/nothing", CODE.NOT_FOUND, "no endpoint 'nothing'; there are 'double'"),
        ("", CODE.INVALID_ARGUMENT, "the name of the model is missing"),
    ]:
        found, text = refusal(lambda model=model: ask(projects, "of-a", model))
        assert found is code
        assert sentence in text


def test_a_version_that_is_not_served(projects: kit.Server) -> None:
    code, text = refusal(lambda: ask(projects, "all", "a/double", "9"))
    assert (code, "serves version 1" in text) == (CODE.NOT_FOUND, True)


@pytest.mark.parametrize(
    ("token", "sentence"),
    [(None, "needs a token"), ("wrong", "is not known"), ("old", "has expired")],
)
def test_a_token_that_is_not_good(projects: kit.Server, token: str | None, sentence: str) -> None:
    code, text = refusal(lambda: ask(projects, token, "a/double"))
    assert code is CODE.UNAUTHENTICATED
    assert sentence in text


def test_the_rate_of_a_token(projects: kit.Server) -> None:
    assert ask(projects, "slow", "a/double") == 1.0
    code, text = refusal(lambda: ask(projects, "slow", "a/double"))
    assert code is CODE.RESOURCE_EXHAUSTED
    assert "rate is used up" in text


# ---- bad input


def test_requests_that_are_wrong(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    def with_raw(raw: list[bytes], **more: Any) -> pb.ModelInferRequest:
        made = request(**more)
        made.raw_input_contents.extend(raw)
        return made

    both = with_raw([b"\0" * 8])
    both.inputs[0].contents.fp32_contents.extend([1, 2])
    short = request()
    short.inputs[0].contents.fp32_contents.append(1)
    elsewhere = request()
    elsewhere.inputs[0].contents.fp64_contents.extend([1, 2])
    unknown = with_raw([b"\0" * 8])
    unknown.outputs.add(name="z")
    twice = with_raw([b"\0" * 8] * 2)
    twice.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    classes = with_raw([b"\0" * 8])
    classes.outputs.add(name="y").parameters["classification"].int64_param = 3
    region = request()
    region.inputs[0].parameters["shared_memory_region"].string_param = "r"
    narrow = request("p/int8", datatype="INT8")
    narrow.inputs[0].contents.int_contents.extend([1, 128])
    for wrong, sentence in [
        (with_raw([b"\0" * 7]), "has 7 bytes where its shape asks for 2 elements of FP32, 8 bytes"),
        (with_raw([b"\0" * 12]), "has 12 bytes"),
        (with_raw([b"\0" * 8], shape=[1, 3]), r"shape [1, 3] where [-1, 2] is expected"),
        (with_raw([b""], shape=[-1, 2]), "shape [-1, 2] where [-1, 2] is expected"),
        (with_raw([b""], shape=[2**62, 2]), "too large"),
        (with_raw([b"\0" * 8], datatype="INT32"), "datatype 'INT32' where FP32 is expected"),
        (with_raw([b"\0" * 8], name="w"), "no input 'w'; expected: 'x' FP32 [-1, 2]"),
        (with_raw([b"\0" * 8, b""]), "raw_input_contents has 2 tensors where inputs has 1"),
        (both, "both contents and raw_input_contents"),
        (short, "has 1 elements in fp32_contents where its shape asks for 2"),
        (elsewhere, "is in fp64_contents, but FP32 belongs in fp32_contents"),
        (request("p/fp16", datatype="FP16"), "no typed form"),
        (request(), "has 0 elements in fp32_contents"),
        (narrow, "holds 128, which INT8 cannot hold"),
        (pb.ModelInferRequest(model_name="p/fp32"), "input 'x' is missing"),
        (unknown, "no output 'z'; the outputs are 'y'"),
        (twice, "input 'x' is given twice"),
        (classes, "asks for classification"),
        (region, "asks for shared memory"),
    ]:
        code, text = refusal(lambda wrong=wrong: stub.ModelInfer(wrong, metadata=METADATA))
        assert code is CODE.INVALID_ARGUMENT, text
        assert sentence in text


def raw_call(server: kit.Server, message: bytes, method: str = "ModelInfer", **more: Any) -> bytes:
    """A call whose message is any bytes."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
        return call(message, metadata=METADATA, **more)


def test_messages_that_are_no_messages(server: kit.Server) -> None:
    good = request()
    good.raw_input_contents.append(b"\0" * 8)
    whole = good.SerializeToString()
    assert raw_call(server, whole)
    for wrong in (whole[:-1], whole[:7], b"\xff" * 50, b"\x0a\x02\xff\xff"):
        code, _ = refusal(lambda wrong=wrong: raw_call(server, wrong))
        assert code is CODE.INVALID_ARGUMENT
    code, _ = refusal(lambda: raw_call(server, b"\xff" * 50, "ModelMetadata"))
    assert code is CODE.INVALID_ARGUMENT


def test_a_message_over_the_limit(server: kit.Server) -> None:
    code, text = refusal(lambda: raw_call(server, b"\0" * (1024 * 1024 + 1)))
    assert code is CODE.RESOURCE_EXHAUSTED
    assert "a message of 1048577 bytes is over the limit of 1048576 bytes" in text


def test_the_endpoints_own_limits(tmp_path: Path, start: Callable[..., kit.Server]) -> None:
    revision = kit.revision(kit.identity(tmp_path / "m.onnx", "FP32"))
    limited = {
        "p/in": ServedEndpoint(revisions=[revision], max_request_bytes=100),
        "p/out": ServedEndpoint(revisions=[revision], max_response_bytes=100),
    }
    kit.write_routes(tmp_path, limited)
    server = start().wait()
    for model, code, sentence in [
        ("p/in", CODE.RESOURCE_EXHAUSTED, "over the limit of 100 bytes"),
        ("p/out", CODE.INTERNAL, "the answer of 147 bytes is over the limit of 100"),
    ]:
        asked = request(model, shape=[15, 2])
        asked.raw_input_contents.append(b"\0" * 120)
        found, text = refusal(lambda asked=asked: raw_call(server, asked.SerializeToString()))
        assert found is code
        assert sentence in text


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_messages_are_read(client: triton.InferenceServerClient, algorithm: str) -> None:
    x = np.random.default_rng(2).normal(size=(100, 2)).astype("f4")
    result = client.infer(
        "p/fp32", [given("x", x, "FP32")], headers=HEADERS, compression_algorithm=algorithm
    )
    np.testing.assert_array_equal(result.as_numpy("y"), x)


def test_a_compressed_message_is_bounded_by_what_it_unpacks_to(
    client: triton.InferenceServerClient,
) -> None:
    x = np.zeros((200_000, 2), "f4")
    with pytest.raises(InferenceServerException, match="over the limit of 1048576 bytes") as raised:
        client.infer("p/fp32", [given("x", x, "FP32")], headers=HEADERS, compression_algorithm="gzip")
    assert raised.value.status() == "StatusCode.RESOURCE_EXHAUSTED"


# ---- time


def test_the_clients_deadline_is_kept(client: triton.InferenceServerClient) -> None:
    x = np.zeros((1, 1), "f4")
    begin = time.monotonic()
    with pytest.raises(InferenceServerException) as raised:
        client.infer(
            "p/slow", [given("x", np.repeat(x, 2000, 0), "FP32")], headers=HEADERS, client_timeout=0.001
        )
    assert raised.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert time.monotonic() - begin < 20


def test_the_endpoints_time_is_kept(tmp_path: Path, start: Callable[..., kit.Server]) -> None:
    revision = kit.revision(kit.slow(tmp_path / "m.onnx", 100_000))
    kit.write_routes(tmp_path, {"p/slow": ServedEndpoint(revisions=[revision], timeout_s=0.001)})
    server = start().wait()
    code, text = refusal(lambda: ask(server, kit.TOKEN, "p/slow"))
    assert code is CODE.DEADLINE_EXCEEDED
    assert text


def test_a_call_whose_client_has_gone_is_not_run(tmp_path: Path, start: Callable[..., kit.Server]) -> None:
    kit.write_routes(tmp_path, {"p/slow": kit.revision(kit.slow(tmp_path / "m.onnx", 1_000_000))})
    server = start().wait()

    def state() -> Any:
        return server.status().endpoints["p/slow"].revisions[0]

    asked = request("p/slow", shape=[1, 1])
    asked.raw_input_contents.append(b"\0" * 4)
    before = state().batches
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        made = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        first = made.ModelInfer.future(asked, metadata=METADATA)
        kit.until(lambda: state().in_flight == 1, "the first call is run")
        second = made.ModelInfer.future(asked, metadata=METADATA)
        kit.until(lambda: state().in_flight == 2, "the second call waits")
        second.cancel()
        assert first.result(kit.DEADLINE).raw_output_contents
    kit.until(lambda: state().in_flight == 0, "both calls have ended")
    assert state().batches == before + 1


# ---- what else happens with a call


def test_a_shadow_gets_a_copy_and_the_log_a_line(tmp_path: Path, start: Callable[..., kit.Server]) -> None:
    one = kit.revision(kit.constant(tmp_path / "a.onnx", 1.0))
    two = kit.revision(kit.constant(tmp_path / "b.onnx", 2.0), number=2, version=2)
    shadow = two.model_copy(update={"traffic": 0, "shadow": 100})
    kit.write_routes(tmp_path, {"p/c": ServedEndpoint(revisions=[one, shadow], access_log=1.0)})
    server = start().wait()
    assert [ask(server, kit.TOKEN, "p/c") for _ in range(3)] == [1.0, 1.0, 1.0]

    def requests() -> dict[int, int]:
        return {one.revision: one.requests for one in server.status().endpoints["p/c"].revisions}

    kit.until(lambda: requests() == {1: 3, 2: 3}, "both revisions have counted")
    assert server.stop() == 0
    logged = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    assert [(line["endpoint"], line["revision"], line["status"], line["samples"]) for line in logged] == [
        ("p/c", 1, 200, 1)
    ] * 3


# ---- streams


def test_a_stream_answers_in_order_and_goes_on_after_an_error(
    client: triton.InferenceServerClient,
) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=HEADERS)
    try:
        for at in range(5):
            x = np.full((1, 2), at, "f4")
            model = "p/fp32" if at != 2 else "p/nothing"
            client.async_stream_infer(model, [given("x", x, "FP32")], request_id=str(at))
        found = [answers.get(timeout=kit.DEADLINE) for _ in range(5)]
    finally:
        client.stop_stream()
    for at, (result, error) in enumerate(found):
        if at == 2:
            assert "no endpoint 'nothing'" in error.message()
        else:
            assert error is None
            assert result.get_response().id == str(at)
            assert result.as_numpy("y").tolist() == [[at, at]]


def test_a_stream_needs_a_token(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    code, text = refusal(lambda: next(stub.ModelStreamInfer(iter([request()]))))
    assert code is CODE.UNAUTHENTICATED
    assert "needs a token" in text
