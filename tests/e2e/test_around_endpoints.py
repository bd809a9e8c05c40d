"""What surrounds an endpoint, on a real server: a file is deployed, a whole dataset is asked for, requests
are kept and compared with the training data, a version is written for another server."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from real_server import MakeServer, Server, wait_until
from served import multiplying
from tritonclient.grpc import model_config_pb2

from nacre.schema.endpoints import EndpointDeploy, EndpointUpdate
from nacre.schema.models import ModelRegister
from nacre.schema.predictions import BatchCreate, DriftCreate

pytestmark = pytest.mark.slow

_TRAIN = """
import base64, os
with open(os.environ["NACRE_OUTPUT_DIR"] + "/model.onnx", "wb") as file:
    file.write(base64.b64decode("{model}"))
"""


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Server:
    return make_module_server()


def push(server: Server, folder: Path, name: str, x: np.ndarray) -> None:
    (folder / name).mkdir()
    np.savez(folder / name / "data.npz", x=x, y=np.zeros(len(x)))
    server.client().data.push(folder / name, name)


def test_a_file_becomes_an_endpoint(server: Server, tmp_path: Path) -> None:
    (tmp_path / "twice.onnx").write_bytes(multiplying(2.0))
    said = server.run("deploy", tmp_path / "twice.onnx", "--name", "twice", timeout_s=200).stdout.decode()
    assert "twice  ready  twice/1" in said
    endpoint = server.client().endpoints.get("twice")
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}
    answer = server.client().endpoints.infer(endpoint, {"inputs": [tensor]})
    assert answer["outputs"][0]["data"] == [2.0, 4.0]


def test_a_folder_with_a_program_becomes_an_endpoint(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "greeter"
    folder.mkdir()
    (folder / "words.txt").write_text("good morning")
    (folder / "predict.py").write_text(
        "def setup(folder):\n"
        "    return open(f'{folder}/words.txt').read()\n"
        "def predict(inputs, state):\n"
        "    return {'said': f\"{state}, {inputs['name']}\"}\n"
    )
    said = server.run("deploy", folder, "--name", "greeter", timeout_s=200).stdout.decode()
    assert "greeter  ready  greeter/1" in said
    endpoint = server.client().endpoints.get("greeter")
    assert endpoint.revisions[0].runtime == "replicas"
    answer = httpx.post(
        f"{endpoint.url}/predict",
        json={"name": "Ada"},
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=30,
    )
    assert answer.json() == {"said": "good morning, Ada"}, answer.text
    (tmp_path / "ada.json").write_text('{"name": "Ada"}')
    done = server.run("predict", "greeter", tmp_path / "ada.json")
    assert done.stdout.decode() == '{"said": "good morning, Ada"}\n'
    (tmp_path / "empty.json").write_text("{}")
    done = server.run("predict", "greeter", tmp_path / "empty.json", check=False)
    assert done.returncode == 1
    assert "predict.py, line 4: KeyError: 'name'" in done.stderr.decode()
    server.run("undeploy", "greeter", "-y")


def test_code_that_takes_tensors_is_asked_with_them(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "adder"
    folder.mkdir()
    (folder / "predict.py").write_text(
        "SIGNATURE = {'inputs': [{'name': 'x', 'datatype': 'FP32', 'shape': [-1, 2]}],\n"
        "             'outputs': [{'name': 'y', 'datatype': 'FP32', 'shape': [-1]}]}\n"
        "def predict(inputs):\n"
        "    return inputs['x'].sum(axis=1)\n"
    )
    server.run("deploy", folder, "--name", "adder", timeout_s=200)
    (tmp_path / "rows.json").write_text("[[1, 2], [3, 4]]")
    done = server.run("predict", "adder", tmp_path / "rows.json")
    assert done.stdout.decode() == "y: FP32[2]\n[3.0, 7.0]\n"
    server.run("undeploy", "adder", "-y")


def test_a_pickle_of_a_laptop_is_refused_by_the_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.joblib").write_bytes(b"\x80\x04.")
    done = server.run("deploy", tmp_path / "net.joblib", check=False)
    assert done.returncode == 1
    assert "net.joblib is a pickle" in done.stderr.decode()
    assert "nacre model register RUN:PATH" in done.stderr.decode()


def test_batch_capture_drift_and_export(server: Server, tmp_path: Path) -> None:
    nacre = server.client()
    rng = np.random.default_rng(0)
    train = rng.standard_normal((5000, 2)).astype(np.float32)
    push(server, tmp_path, "numbers", train)
    text = base64.b64encode(multiplying(2.0)).decode()
    job = server.wait(server.submit({"main.py": _TRAIN.format(model=text)}, inputs={"data": "numbers"}))
    nacre.models.register("multiply", ModelRegister(run=job.run, path="model.onnx"))
    assert nacre.models.wait("multiply", timeout_s=200).conversion == "ready"

    nacre.endpoints.deploy("double", EndpointDeploy(model="multiply"))
    assert nacre.endpoints.wait("double", timeout_s=60).state == "ready"
    capture = {"settings": {"capture": {"dataset": "asked", "share": 1.0}}}
    endpoint = nacre.endpoints.update("double", EndpointUpdate.model_validate(capture))

    # every sample of a dataset
    started = nacre.endpoints.batch(BatchCreate(endpoint="double", data="numbers", out="answers"))
    found = nacre.endpoints.wait_batch(started.id, timeout_s=300)
    assert (found.state, found.samples, found.result) == ("succeeded", 5000, "answers@1"), found
    nacre.data.pull("answers@1", tmp_path / "answers")
    table = pq.read_table(tmp_path / "answers")
    assert table["sample"].to_pylist() == list(range(5000))
    np.testing.assert_array_equal(np.float32(table["y"].to_pylist()), train * 2)

    # requests, kept and compared
    shifted = rng.standard_normal((40, 20, 2)).astype(np.float32)
    shifted[..., 1] += 1.5
    for rows in shifted:
        tensor = {"name": "x", "shape": [20, 2], "datatype": "FP32", "data": rows.reshape(-1).tolist()}
        answer = nacre.endpoints.infer(endpoint, {"inputs": [tensor]})
        assert len(answer["outputs"][0]["data"]) == 40

    def captured() -> bool:
        names = {d.name for d in nacre.data.list(limit=100).items}
        return "asked" in names

    wait_until("what was asked is a dataset", captured, timeout_s=150, every_s=1)
    nacre.data.pull("asked", tmp_path / "asked")
    kept = pq.read_table(tmp_path / "asked" / "captured")
    np.testing.assert_allclose(np.float32(kept["x"].to_pylist()), shifted.reshape(-1, 2), rtol=1e-6)
    np.testing.assert_allclose(
        np.float32(kept["output.y"].to_pylist()), 2 * shifted.reshape(-1, 2), rtol=1e-6
    )
    report = nacre.endpoints.drift("double", DriftCreate())
    report = nacre.endpoints.wait_drift("double", report.id, timeout_s=200)
    assert report.result is not None, report
    assert (report.captured, report.reference) == ("asked@1", "numbers@1")
    assert (report.result.verdict, report.result.captured_samples) == ("drifted", 800)
    by_feature = {f.feature: f.psi for f in report.result.features}
    assert by_feature["x[0]"] < 0.1
    assert by_feature["x[1]"] > 0.25

    # data that does not fit
    push(server, tmp_path, "wide", np.zeros((4, 7), np.float32))
    started = nacre.endpoints.batch(BatchCreate(model="multiply", data="wide", out="answers"))
    found = nacre.endpoints.wait_batch(started.id, timeout_s=200)
    assert (found.state, found.result) == ("failed", None)
    sentence = "input 'x': the model takes samples of shape [2], the data has [7]"
    assert found.message == f"x in data.npz, row 0 (counted from 0): {sentence}"

    # another server's repository
    server.run("model", "export", "multiply/1", "--layout", "triton", "--out", str(tmp_path / "repository"))
    config = text_format.Parse(
        (tmp_path / "repository/multiply/config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    assert [(t.name, list(t.dims)) for t in config.input] == [("x", [2])]
    session = onnxruntime.InferenceSession(tmp_path / "repository/multiply/1/model.onnx")
    assert session.run(None, {"x": train[:1]})[0].tolist() == (train[:1] * 2).tolist()
    assert json.loads(server.run("-o", "json", "endpoint", "batches").stdout)[0]["data"] == "wide@1"
