"""The same ONNX model behind other servers, each written as its own guide says. Run by serving.py, in the
server's own environment: ``python serving_apps.py SERVER MODEL PORT FOLDER`` starts it and does not return.

The body is that of the Open Inference Protocol wherever a server takes any JSON; MLflow has its own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

HERE = Path(__file__).resolve()


def session(model: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def take(request: dict[str, Any]) -> np.ndarray:
    tensor = request["inputs"][0]
    return np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])


def give(y: np.ndarray) -> dict[str, Any]:
    output = {"name": "y", "datatype": "FP32", "shape": list(y.shape), "data": y.ravel().tolist()}
    return {"model_name": "mlp", "outputs": [output]}


def fastapi(model: str, port: int, _: Path) -> None:
    """No validation, orjson both ways: what a careful team writes by hand."""
    import orjson
    import uvicorn
    from fastapi import FastAPI, Request, Response

    runner = session(model)
    app = FastAPI()

    async def infer(request: Request) -> Response:
        body = await request.body()
        length = request.headers.get("inference-header-content-length")
        if length is None:
            (y,) = runner.run(["y"], {"x": take(orjson.loads(body))})
            return Response(orjson.dumps(give(y)), media_type="application/json")
        tensor = orjson.loads(body[: int(length)])["inputs"][0]
        x = np.frombuffer(body, np.float32, offset=int(length)).reshape(tensor["shape"])
        (y,) = runner.run(["y"], {"x": x})
        output = {
            "name": "y",
            "datatype": "FP32",
            "shape": y.shape,
            "parameters": {"binary_data_size": y.nbytes},
        }
        head = orjson.dumps({"model_name": "mlp", "outputs": [output]})
        return Response(head + y.tobytes(), headers={"Inference-Header-Content-Length": str(len(head))})

    infer.__annotations__ = {"request": Request}  # FastAPI looks for names in the module only
    app.post("/v2/models/mlp/infer")(infer)
    uvicorn.run(app, port=port, log_level="error", loop="uvloop", http="httptools", access_log=False)


LITSERVE = """
import sys
sys.path.insert(0, {here!r})
import litserve
from serving_apps import give, session, take

class Api(litserve.LitAPI):
    def setup(self, device):
        self.runner = session({model!r})

    def decode_request(self, request):
        return take(request)

    def predict(self, x):
        return self.runner.run(["y"], {{"x": x}})[0]

    def encode_response(self, y):
        return give(y)

if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(port={port}, generate_client_file=False, log_level="error", num_api_servers=1)
"""


def litserve(model: str, port: int, folder: Path) -> None:
    program = folder / "lit_mlp.py"
    program.write_text(LITSERVE.format(here=str(HERE.parent), model=model, port=port))
    os.execv(sys.executable, [sys.executable, str(program)])


BENTO = """
import sys
sys.path.insert(0, {here!r})
import bentoml
from serving_apps import give, session, take

@bentoml.service(workers=1, traffic={{"timeout": 60}})
class Mlp:
    def __init__(self) -> None:
        self.runner = session({model!r})

    @bentoml.api(route="/infer")
    def infer(self, inputs: list) -> dict:
        (y,) = self.runner.run(["y"], {{"x": take({{"inputs": inputs}})}})
        return give(y)
"""


def bentoml(model: str, port: int, folder: Path) -> None:
    (folder / "bento_mlp.py").write_text(BENTO.format(here=str(HERE.parent), model=model))
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    program = [sys.executable, "-m", "bentoml", "serve", "bento_mlp:Mlp", "--port", str(port)]
    os.chdir(folder)
    os.execv(sys.executable, program)


def mlserver(model: str, port: int, folder: Path) -> None:
    """Models in the process of the server, which is faster here."""
    start_mlserver(model, port, folder, {"parallel_workers": 0})


def mlserver_workers(model: str, port: int, folder: Path) -> None:
    """Its defaults: a worker process for models."""
    start_mlserver(model, port, folder, {})


def start_mlserver(model: str, port: int, folder: Path, chosen: dict[str, int]) -> None:
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    (folder / "settings.json").write_text(json.dumps({**ports, **chosen, "debug": False}))
    runtime = {"name": "mlp", "implementation": "mlserver_mlp.Mlp", "parameters": {"uri": model}}
    (folder / "model-settings.json").write_text(json.dumps(runtime))
    (folder / "mlserver_mlp.py").write_text(MLSERVER.format(here=str(HERE.parent)))
    os.environ["PYTHONPATH"] = str(folder)
    program = Path(sys.executable).parent / "mlserver"
    os.execv(program, [str(program), "start", str(folder)])


MLSERVER = """
import sys
sys.path.insert(0, {here!r})
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
from serving_apps import session

class Mlp(MLModel):
    async def load(self):
        self.runner = session(self.settings.parameters.uri)
        return True

    async def predict(self, payload):
        x = NumpyCodec.decode_input(payload.inputs[0])
        (y,) = self.runner.run(["y"], {{"x": x.astype("float32", copy=False)}})
        return InferenceResponse(model_name="mlp", outputs=[NumpyCodec.encode_output("y", y)])
"""


def kserve(model: str, port: int, _: Path) -> None:
    from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

    class Mlp(Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("mlp")
            self.runner = session(model)
            self.ready = True

        def predict(self, payload: InferRequest, headers: Any = None, **_: Any) -> InferResponse:
            (y,) = self.runner.run(["y"], {"x": payload.inputs[0].as_numpy().astype("f4", copy=False)})
            output = InferOutput("y", list(y.shape), "FP32")
            output.set_data_from_numpy(y, binary_data=payload.use_binary_outputs)
            return InferResponse(payload.id or "1", "mlp", [output])

    ModelServer(http_port=port, enable_grpc=False, workers=1, access_log_format=None).start([Mlp()])


def ray(model: str, port: int, _: Path) -> None:
    import time

    import ray as framework
    from ray import serve

    framework.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})

    @serve.deployment(num_replicas=1, max_ongoing_requests=128)  # type: ignore[misc]
    class Mlp:
        def __init__(self) -> None:
            sys.path.insert(0, str(HERE.parent))
            self.runner = session(model)

        async def __call__(self, request: Any) -> dict[str, Any]:
            (y,) = self.runner.run(["y"], {"x": take(await request.json())})
            return give(y)

    serve.run(Mlp.bind(), route_prefix="/")
    while True:
        time.sleep(3600)


def triton(model: str, port: int, folder: Path) -> None:
    """Triton's C++ front with its Python backend, from the wheel nvidia-pytriton."""
    from pytriton.decorators import batch
    from pytriton.model_config import ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig

    runner = session(model)

    @batch  # type: ignore[untyped-decorator]
    def infer(x: np.ndarray) -> list[np.ndarray]:
        return runner.run(["y"], {"x": x})

    config = TritonConfig(http_port=port, grpc_port=port + 1, metrics_port=port + 2, log_verbose=0)
    with Triton(config=config, workspace=str(folder / "triton")) as server:
        server.bind(
            model_name="mlp",
            infer_func=infer,
            inputs=[Tensor(name="x", dtype=np.float32, shape=(784,))],
            outputs=[Tensor(name="y", dtype=np.float32, shape=(10,))],
            config=ModelConfig(max_batch_size=64),
        )
        server.serve()


def mlflow(model: str, port: int, folder: Path) -> None:
    import onnx
    from mlflow.onnx import save_model

    target = folder / "mlflow"
    save_model(onnx.load(model), str(target), onnx_session_options={"intra_op_num_threads": 1})
    program = Path(sys.executable).parent / "mlflow"
    os.environ["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    command = ["models", "serve", "-m", str(target), "-p", str(port), "--env-manager", "local", "-w", "1"]
    os.execv(program, [str(program), *command])


TORCHSERVE = """
import json, os, sys
sys.path.insert(0, {here!r})
from serving_apps import give, session, take

class Handler:
    def initialize(self, context):
        self.runner = session(os.path.join(context.system_properties["model_dir"], "mlp.onnx"))

    def handle(self, data, context):
        answers = []
        for row in data:
            body = row.get("body") or row.get("data")
            request = body if isinstance(body, dict) else json.loads(body)
            answers.append(give(self.runner.run(["y"], {{"x": take(request)}})[0]))
        return answers
"""


def torchserve(model: str, port: int, folder: Path) -> None:
    import shutil
    import subprocess

    programs = Path(sys.executable).parent
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    (folder / "handler.py").write_text(TORCHSERVE.format(here=str(HERE.parent)))
    shutil.copy(model, folder / "mlp.onnx")
    (folder / "store").mkdir()
    archive = [str(programs / "torch-model-archiver"), "--model-name", "mlp", "--version", "1", "--handler"]
    archive += [str(folder / "handler.py"), "--extra-files", str(folder / "mlp.onnx")]
    subprocess.run([*archive, "--export-path", str(folder / "store")], check=True)
    lines = [
        f"inference_address=http://127.0.0.1:{port}",
        f"management_address=http://127.0.0.1:{port + 1}",
        f"metrics_address=http://127.0.0.1:{port + 2}",
        f"model_store={folder / 'store'}",
        "load_models=mlp.mar",
        "default_workers_per_model=1",
        "disable_token_authorization=true",
        "install_py_dep_per_model=false",
    ]
    (folder / "config.properties").write_text("\n".join(lines))
    command = ["torchserve", "--start", "--foreground", "--ncs", "--ts-config", "config.properties"]
    os.environ["LOG_LOCATION"] = os.environ["METRICS_LOCATION"] = str(folder)
    os.chdir(folder)
    os.execv(programs / "torchserve", [*command, "--disable-token-auth"])


SERVERS = {
    "fastapi": fastapi,
    "litserve": litserve,
    "bentoml": bentoml,
    "mlserver": mlserver,
    "mlserver-workers": mlserver_workers,
    "kserve": kserve,
    "ray": ray,
    "triton": triton,
    "mlflow": mlflow,
    "torchserve": torchserve,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
