"""Every REST dialect on one endpoint of a real server: each answer is ONNX Runtime's in process."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
from dialect_clients import PROGRAM
from onnx import TensorProto, helper, numpy_helper
from real_server import Server
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from tests.uv_python import python_with

from nacre.schema.endpoints import EndpointDeploy, EndpointState
from nacre.schema.models import ModelRegister

pytestmark = pytest.mark.slow

WRITE = """
import base64, os
with open(os.environ["NACRE_OUTPUT_DIR"] + "/model.onnx", "wb") as file:
    file.write(base64.b64decode(open("model.b64").read()))
"""


def digits_model() -> bytes:
    """Handwritten digits, 64 pixels each, by logistic regression: ``label`` and ``probabilities``."""
    digits = load_digits()
    fitted = LogisticRegression(max_iter=100, tol=0.01).fit(digits.data / 16, digits.target)
    weights = [
        numpy_helper.from_array(fitted.coef_.T.astype("f4"), "w"),
        numpy_helper.from_array(fitted.intercept_.astype("f4"), "b"),
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class Digits:
    """The endpoint, three images, and what ONNX Runtime makes of them in this process."""

    def __init__(self, server: Server) -> None:
        model = digits_model()
        spec = {"main.py": WRITE, "model.b64": base64.b64encode(model).decode()}
        job = server.wait(server.submit(spec))
        client = server.client()
        made = client.models.register("digits-lr", ModelRegister(run=job.run, path="model.onnx"))
        found = client.models.wait("digits-lr", str(made.number), timeout_s=200)
        assert found.conversion == "ready", found
        client.endpoints.deploy("digits", EndpointDeploy(model="digits-lr"))
        assert client.endpoints.wait("digits", timeout_s=60).state is EndpointState.READY
        self.url = f"{server.inference_url}/endpoints/default/digits"
        self.token = server.token
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=20
        )
        self.x = (load_digits().data[[3, 14, 159]] / 16).astype("f4")
        session = onnxruntime.InferenceSession(model)
        self.label, self.probabilities = session.run(["label", "probabilities"], {"x": self.x})

    def post(self, path: str, body: Any, status: int = 200, **headers: str) -> Any:
        """``body``: bytes with a ``content_type``, or JSON. The JSON of the answer."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = self.http.post(f"/{path}", headers=names, **content)
        assert answer.status_code == status, answer.text
        return answer.json()

    def same(self, label: Any, probabilities: Any) -> None:
        np.testing.assert_array_equal(np.array(label), self.label)
        np.testing.assert_array_equal(np.array(probabilities, "f4"), self.probabilities)

    def same_rows(self, rows: list[dict[str, Any]]) -> None:
        self.same([row["label"] for row in rows], [row["probabilities"] for row in rows])


@pytest.fixture(scope="module")
def digits(nacre_server: Server) -> Iterator[Digits]:
    made = Digits(nacre_server)
    yield made
    made.http.close()
    nacre_server.client().endpoints.delete("digits")


class TestTensorFlowServing:
    def test_predict_by_rows_and_columns(self, digits: Digits) -> None:
        for path in ("digits:predict", "digits-lr:predict", "digits-lr/versions/1:predict"):
            digits.same_rows(
                digits.post(f"v1/models/{path}", {"instances": digits.x.tolist()})["predictions"]
            )
        by_name = [{"x": row} for row in digits.x.tolist()]
        body = {"signature_name": "serving_default", "instances": by_name}
        digits.same_rows(digits.post("v1/models/digits:predict", body)["predictions"])
        for columns in (digits.x.tolist(), {"x": digits.x.tolist()}):
            outputs = digits.post("v1/models/digits:predict", {"inputs": columns})["outputs"]
            digits.same(outputs["label"], outputs["probabilities"])

    def test_tokens_for_floats_that_are_not_finite(self, digits: Digits) -> None:
        body = json.dumps({"instances": [[float("nan")] * 64]}).encode()
        (row,) = digits.post("v1/models/digits:predict", body)["predictions"]
        assert np.isnan(row["probabilities"]).all()

    def test_classify(self, digits: Digits) -> None:
        body = {"examples": [{"x": row} for row in digits.x.tolist()]}
        results = digits.post("v1/models/digits:classify", body)["results"]
        assert [[label for label, _ in row] for row in results] == [[str(k) for k in range(10)]] * 3
        np.testing.assert_array_equal(
            np.array([[score for _, score in row] for row in results], "f4"), digits.probabilities
        )
        assert "use :predict" in digits.post("v1/models/digits:regress", body, 400)["error"]

    def test_status_and_metadata(self, digits: Digits) -> None:
        status = digits.http.get("/v1/models/digits-lr").json()
        assert status == {
            "model_version_status": [
                {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            ],
            "name": "digits-lr",
            "ready": True,
        }
        assert digits.http.get("/v1/models/digits-lr/versions/1").json() == status
        found = digits.http.get("/v1/models/digits-lr/metadata").json()
        signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert [dim["size"] for dim in signature["inputs"]["x"]["tensor_shape"]["dim"]] == ["-1", "64"]
        assert signature["outputs"]["label"]["dtype"] == "DT_INT64"

    def test_another_model_or_version(self, digits: Digits) -> None:
        body = {"instances": digits.x.tolist()}
        for path in ("v1/models/other:predict", "v1/models/digits/versions/7:predict"):
            assert "digits" in digits.post(path, body, 404)["error"]


class TestKServe:
    def test_models(self, digits: Digits) -> None:
        assert digits.http.get("/v1/models").json() == {"models": ["digits-lr"]}

    def test_explain_is_not_there_yet(self, digits: Digits) -> None:
        answer = digits.post("v1/models/digits-lr:explain", {"instances": digits.x.tolist()}, 501)
        assert "no explainer" in answer["error"]


class TestMlflow:
    def test_every_format(self, digits: Digits) -> None:
        names = [f"pixel_{n}" for n in range(64)]
        rows = digits.x.tolist()
        for body in (
            {"dataframe_split": {"columns": names, "index": [0, 1, 2], "data": rows}},
            {"dataframe_records": [dict(zip(names, row, strict=True)) for row in rows]},
            {"instances": rows},
            {"instances": rows, "params": {"temperature": 1}},
        ):
            digits.same_rows(digits.post("invocations", body)["predictions"])
        for body in ({"inputs": rows}, {"inputs": {"x": rows}}):
            found = digits.post("invocations", body)["predictions"]
            digits.same(found["label"], found["probabilities"])

    def test_csv(self, digits: Digits) -> None:
        lines = [[f"pixel_{n}" for n in range(64)], *digits.x.tolist()]
        text = "\n".join(",".join(map(str, line)) for line in lines).encode()
        digits.same_rows(digits.post("invocations", text, content_type="text/csv")["predictions"])

    def test_health_and_errors(self, digits: Digits) -> None:
        assert [digits.http.get(f"/{path}").status_code for path in ("ping", "health", "version")] == [
            200
        ] * 3
        answer = digits.post("invocations", {"dataframe": []}, 400)
        assert answer["error_code"] == "BAD_REQUEST"
        assert "dataframe_split" in answer["message"]


class TestSageMaker:
    def test_numpys_files(self, digits: Digits) -> None:
        file = io.BytesIO()
        np.save(file, digits.x.astype("f8"))
        headers = {"Content-Type": "application/x-npy", "Accept": "application/x-npz"}
        answer = digits.http.post("/invocations", content=file.getvalue(), headers=headers)
        assert answer.headers["Content-Type"] == "application/x-npz"
        found = np.load(io.BytesIO(answer.content))
        digits.same(found["label"], found["probabilities"])

    def test_csv_without_a_header_in_and_out(self, digits: Digits) -> None:
        text = "\n".join(",".join(map(str, row)) for row in digits.x.tolist())
        headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
        answer = digits.http.post("/invocations", content=text, headers=headers)
        found = [line.split(",") for line in answer.text.splitlines()]
        digits.same(
            [int(line[0]) for line in found], [[float(cell) for cell in line[1:]] for line in found]
        )

    def test_a_bare_list(self, digits: Digits) -> None:
        digits.same_rows(digits.post("invocations", digits.x.tolist())["predictions"])

    def test_a_pickle_is_refused(self, digits: Digits) -> None:
        file = io.BytesIO()
        np.save(file, np.array([{"a": 1}]), allow_pickle=True)
        answer = digits.post("invocations", file.getvalue(), 400, content_type="application/x-npy")
        assert "pickled" in answer["message"]


class TestVertex:
    @pytest.mark.parametrize("path", ["predict", "v1/projects/p/locations/l/endpoints/digits:predict"])
    def test_predict(self, digits: Digits, path: str) -> None:
        answer = digits.post(path, {"instances": digits.x.tolist(), "parameters": {}})
        digits.same_rows(answer["predictions"])
        assert (answer["modelVersionId"], answer["modelDisplayName"]) == ("1", "digits-lr")
        wrong = digits.post(path, {"instances": []}, 400)
        assert (wrong["error"]["code"], wrong["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "path", ["v1/models/digits:predict", "v1/models/digits:classify", "invocations", "predict"]
)
def test_a_body_of_a_hundred_thousand_levels_is_refused_and_no_more(digits: Digits, path: str) -> None:
    for deep in (b"[" * 100_000 + b"]" * 100_000, b'{"instances":' * 50_000, b"[NaN," * 100_000):
        assert "not JSON" in json.dumps(digits.post(path, deep, 400))
    digits.same_rows(digits.post("predict", {"instances": digits.x.tolist()})["predictions"])


def test_the_clients_of_kserve_and_mlflow(digits: Digits, tmp_path: Path) -> None:
    python = python_with(tmp_path / "env", "kserve", "mlflow-skinny", "pandas", "scipy")
    program = tmp_path / "clients.py"
    program.write_text(PROGRAM)
    np.save(tmp_path / "x.npy", digits.x)
    words = [str(python), str(program), digits.url, digits.token, str(tmp_path / "x.npy")]
    done = subprocess.run(words, capture_output=True, timeout=200, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["live_models"], found["ready"], found["pinged"]) == (["digits-lr"], True, True)
    digits.same_rows(found["kserve"])
    digits.same_rows(found["mlflow_frame"])
    digits.same(found["mlflow_array"]["label"], found["mlflow_array"]["probabilities"])
    assert "shape [3, 63] where [-1, 64] is expected" in found["mlflow_error"]
