"""Models of every framework as replicas in environments of the catalogue: the framework's own answers.

Each program trains or makes a model in its environment, saves it, and leaves inputs and its own answers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import replica_kit as kit

from nacre.plugins.environments.uv import UvEnvironments
from nacre.ports.environments import Source
from nacre.services.catalogue import catalogue

pytestmark = [pytest.mark.slow, pytest.mark.framework, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Environment:
    """An environment's Python, and a folder with ``model/`` in it."""

    python: str
    folder: Path

    def run(self, program: str, name: str = "train.py") -> None:
        """Run a program that fills ``model/``; ``answers.npz`` gets arrays ``in_NAME`` and ``out_NAME``."""
        (self.folder / "model").mkdir(exist_ok=True)
        (self.folder / name).write_text(textwrap.dedent(program))
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": kit.SITE}
        done = subprocess.run(
            [self.python, name], cwd=self.folder, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    @contextmanager
    def serve(self, *arguments: str, entry: str = "") -> Iterator[tuple[kit.Replica, kit.Connection]]:
        model = self.folder / "model" / entry
        with kit.Replica(model, self.folder, *arguments, python=self.python) as replica:
            yield replica, replica.connect()

    def answers(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The inputs and answers that the program left."""
        with np.load(self.folder / "answers.npz") as found:
            arrays = {name: found[name] for name in found.files}
        given = {name[3:]: array for name, array in arrays.items() if name.startswith("in_")}
        return given, {name[4:]: array for name, array in arrays.items() if name.startswith("out_")}

    def check(self, *arguments: str, entry: str = "") -> dict[str, Any]:
        """The replica answers as the framework did; its signature."""
        given, wanted = self.answers()
        with self.serve(*arguments, entry=entry) as (replica, connection):
            signature = connection.hello["signature"]
            assert signature is not None, replica.log.read_text()
            got = connection.run(given, list(wanted))
            part = connection.run({name: array[:1] for name, array in given.items()}, list(wanted))
        for name, array in wanted.items():
            close(got[name], array)
            close(part[name], array[:1])
        return signature


def close(got: Any, wanted: Any) -> None:
    if wanted.dtype.kind in "US":
        assert got.tolist() == wanted.tolist()
    else:
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def shapes(signature: dict[str, Any]) -> dict[str, tuple[str, list[int]]]:
    """Datatype and shape of each tensor."""
    both = [*signature["inputs"], *signature["outputs"]]
    return {one["name"]: (one["datatype"], one["shape"]) for one in both}


Make = Callable[..., Environment]


@pytest.fixture(scope="module")
def build() -> Iterator[Callable[[tuple[str, ...]], str]]:
    kept = os.environ.get("NACRE_TEST_ENVIRONMENTS")
    folder = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="nacre-frameworks-"))
    port = UvEnvironments(folder)

    def python(requirements: tuple[str, ...]) -> str:
        said: list[str] = []
        lock = port.resolve(Source(requirements="\n".join(requirements)), said.append)
        return str(Path(port.build(lock, said.append).folder) / "bin" / "python")

    yield python
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def environment(build: Callable[[tuple[str, ...]], str], tmp_path: Path) -> Make:
    def make(name: str, *more: str) -> Environment:
        return Environment(build((*catalogue(False)[name].requirements, *more)), tmp_path)

    return make


# ---- PyTorch

NET = """
import numpy as np
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 8), torch.nn.Linear(8, 3)

    def forward(self, x, scale):
        h = torch.relu(self.first(x))
        return self.second(h) * scale, h.sum(1).long()
"""
SAVED = """
net = Net().eval()
x, scale = torch.randn(5, 4), torch.rand(5, 1)
with torch.no_grad():
    y, y1 = net(x, scale)
np.savez("answers.npz", in_x=x, in_scale=scale, out_y=y, out_y1=y1)
"""
BESIDE = {
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [-1, 4]},
        {"name": "scale", "datatype": "FP32", "shape": [-1, 1]},
    ]
}


def test_torchscript_with_the_signature_of_log_model(environment: Make) -> None:
    pytorch = environment("pytorch")
    pytorch.run(NET + SAVED + "torch.jit.script(net).save('model/model.pt')\n")
    (pytorch.folder / "model" / "model.pt.signature.json").write_text(json.dumps(BESIDE))
    assert shapes(pytorch.check()) == {
        "x": ("FP32", [-1, 4]),
        "scale": ("FP32", [-1, 1]),
        "y": ("FP32", [-1, 3]),
        "y1": ("INT64", [-1]),
    }


def test_a_program_of_torch_export_tells_itself(environment: Make) -> None:
    pytorch = environment("pytorch")
    pytorch.run(
        NET
        + SAVED
        + """
batch = torch.export.Dim("batch", min=1)
program = torch.export.export(net, (x, scale), dynamic_shapes=({0: batch}, {0: batch}))
torch.export.save(program, "model/model.pt2")
"""
    )
    found = shapes(pytorch.check("--framework", "pytorch"))
    assert (found["x"], found["scale"]) == (("FP32", [-1, 4]), ("FP32", [-1, 1]))


def test_a_pickled_module_finds_its_class_beside_it_or_in_its_script(environment: Make) -> None:
    pytorch = environment("pytorch")
    (pytorch.folder / "net.py").write_text(NET)
    (pytorch.folder / "model").mkdir()
    (pytorch.folder / "model" / "net.py").write_text(NET)
    pytorch.run("from net import *\n" + SAVED + "torch.save(net, 'model/model.pt')\n")
    (pytorch.folder / "net.py").unlink()
    given = pytorch.folder / "signature.json"
    given.write_text(json.dumps(BESIDE))
    pytorch.check("--signature", str(given))

    pytorch.run(NET + SAVED + "torch.save(net, 'model/model.pt')\nraise SystemExit(0)\n")
    (pytorch.folder / "model" / "net.py").unlink()
    pytorch.check("--signature", str(given), "--script", "train.py", entry="model.pt")
    with kit.Replica(pytorch.folder / "model", pytorch.folder, python=pytorch.python) as replica:
        assert replica.wait() == 1
        assert "model.pt needs a class that is not there" in replica.log.read_text().splitlines()[-1]


def test_a_module_of_which_nothing_is_known_answers_json(environment: Make) -> None:
    pytorch = environment("pytorch")
    pytorch.run(NET + SAVED + "torch.jit.script(net).save('model/model.pt')\n")
    given, wanted = pytorch.answers()
    with pytorch.serve() as (_, connection):
        assert (connection.hello["signature"], connection.hello["raw"]) == (None, True)
        body = {"inputs": {name: array.tolist() for name, array in given.items()}}
        frame = connection.ask(json.dumps(body).encode())
        outputs = json.loads(bytes(frame.tail or b""))["outputs"]
        close(np.array(outputs["y"]), wanted["y"])
        assert outputs["y1"] == wanted["y1"].tolist()
        frame = connection.ask(b'{"inputs": {"x": [[1, 2], [3]]}}')
        assert (frame.head["type"], frame.head["kind"]) == ("error", "bad_request")


def test_a_state_dict_is_no_model(environment: Make) -> None:
    pytorch = environment("pytorch")
    pytorch.run(NET + SAVED + "torch.save(net.state_dict(), 'model/model.pt')\n")
    with kit.Replica(pytorch.folder / "model", pytorch.folder, python=pytorch.python) as replica:
        assert replica.wait() == 1
        assert "holds only weights (a state_dict)" in replica.log.read_text().splitlines()[-1]


def test_a_model_that_mixes_its_rows_gets_no_batches(environment: Make) -> None:
    pytorch = environment("pytorch")
    pytorch.run(
        """
        import torch

        class Mean(torch.nn.Module):
            def forward(self, x):
                return x - x.mean(0)

        torch.jit.script(Mean()).save("model/model.pt")
        """
    )
    (pytorch.folder / "model" / "model.pt.signature.json").write_text(
        json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]})
    )
    with pytorch.serve() as (_, connection):
        assert connection.hello["max_batch"] == 1


# ---- Keras and TensorFlow

KERAS = """
import keras
import numpy as np

image = keras.Input((8, 8, 1), name="image")
extra = keras.Input((2,), name="extra")
h = keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(image))
h = keras.layers.Concatenate()([h, extra])
model = keras.Model([image, extra], keras.layers.Dense(3, activation="softmax")(h))
a, b = np.random.rand(5, 8, 8, 1).astype("f4"), np.random.rand(5, 2).astype("f4")
y = keras.ops.convert_to_numpy(model([a, b], training=False))
np.savez("answers.npz", in_image=a, in_extra=b, **{OUT: y})
"""


def test_keras(environment: Make) -> None:
    keras = environment("keras")
    keras.run(KERAS.replace("OUT", '"out_y"') + "model.save('model/model.keras')\n")
    assert shapes(keras.check()) == {
        "image": ("FP32", [-1, 8, 8, 1]),
        "extra": ("FP32", [-1, 2]),
        "y": ("FP32", [-1, 3]),
    }


def test_keras_on_pytorch(environment: Make) -> None:
    pytorch = environment("pytorch", "keras==3.15.1")
    pytorch.run(
        'import os; os.environ["KERAS_BACKEND"] = "torch"\n'
        + KERAS.replace("OUT", '"out_y"')
        + "model.save('model/model.keras')\n"
    )
    pytorch.check("--framework", "keras")


def test_a_savedmodel(environment: Make) -> None:
    tensorflow = environment("tensorflow")
    tensorflow.run(KERAS.replace("OUT", '"out_output_0"') + "model.export('model/saved', verbose=False)\n")
    found = shapes(tensorflow.check(entry="saved"))
    assert (found["image"], found["output_0"]) == (("FP32", [-1, 8, 8, 1]), ("FP32", [-1, 3]))


def test_a_savedmodel_of_strings_and_what_it_refuses(environment: Make) -> None:
    tensorflow = environment("tensorflow")
    tensorflow.run(
        """
        import numpy as np
        import tensorflow as tf

        class Words(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
            def __call__(self, words):
                tf.debugging.Assert(tf.reduce_all(words != "bad"), ["a bad word"])
                return {"upper": tf.strings.upper(words), "length": tf.strings.length(words)}

        module = Words()
        tf.saved_model.save(module, "model", signatures=module.__call__)
        words = np.array(["one", "three"], dtype=object)
        """
    )
    with tensorflow.serve() as (_, connection):
        assert connection.hello["signature"]["inputs"] == [
            {"name": "words", "datatype": "BYTES", "shape": [-1]}
        ]
        words = np.array(["one", "three"], dtype=object)
        got = connection.run({"words": words}, ["length", "upper"])
        assert (got["upper"].tolist(), got["length"].tolist()) == (["ONE", "THREE"], [3, 5])
        connection.infer({"words": np.array(["bad"], dtype=object)}, ["upper"])
        head = connection.receive().head
        assert (head["type"], head["kind"]) == ("error", "bad_request")


# ---- scikit-learn, ONNX, MLflow

CLASSIFIER = """
import joblib, pickle
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

x, y = load_iris(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, LABELS)
answers = dict(in_x=x[::20], out_label=model.predict(x[::20]).astype(KIND))
np.savez("answers.npz", **answers, out_probabilities=model.predict_proba(x[::20]))
"""


def test_a_classifier_answers_labels_and_probabilities(environment: Make) -> None:
    sklearn = environment("sklearn")
    sklearn.run(
        CLASSIFIER.replace("LABELS", "y").replace("KIND", "'i8'")
        + "joblib.dump(model, 'model/model.joblib')\n"
    )
    assert shapes(sklearn.check()) == {
        "x": ("FP64", [-1, 4]),
        "label": ("INT64", [-1]),
        "probabilities": ("FP64", [-1, 3]),
    }
    registered = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
    }
    given = sklearn.folder / "signature.json"
    given.write_text(json.dumps(registered))
    inputs, wanted = sklearn.answers()
    with sklearn.serve("--signature", str(given)) as (_, connection):
        assert connection.hello["signature"] == registered
        got = connection.run({"x": inputs["x"].astype("f4")}, ["probabilities"])
        assert got["probabilities"].dtype == np.float32
        np.testing.assert_allclose(got["probabilities"], wanted["probabilities"], atol=1e-5)
        connection.infer({"x": np.full((1, 4), np.nan)}, ["label"])
        head = connection.receive().head
        assert (head["kind"], "NaN" in head["message"]) == ("bad_request", True)


def test_labels_that_are_text_in_a_pickle(environment: Make) -> None:
    sklearn = environment("sklearn")
    labels = "np.array(['setosa', 'versicolor', 'virginica'])[y]"
    program = CLASSIFIER.replace("LABELS", labels).replace("KIND", "str")
    sklearn.run(program + "pickle.dump(model, open('model/model.pkl', 'wb'))\n")
    assert shapes(sklearn.check())["label"] == ("BYTES", [-1])


def test_a_model_that_was_fitted_on_a_table(environment: Make) -> None:
    sklearn = environment("sklearn", "skops")
    sklearn.run(
        """
        import numpy as np
        import pandas as pd
        from skops import io
        from sklearn.compose import make_column_transformer
        from sklearn.linear_model import LinearRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        x = pd.DataFrame(np.random.rand(30, 2), columns=["size", "age"])
        columns = make_column_transformer((StandardScaler(), ["age"]), ("passthrough", ["size"]))
        model = make_pipeline(columns, LinearRegression()).fit(x, x["size"] * 2 + x["age"])
        io.dump(model, "model/model.skops")
        np.savez("answers.npz", in_x=x.to_numpy()[:5], out_y=model.predict(x[:5]))
        """
    )
    assert shapes(sklearn.check()) == {"x": ("FP64", [-1, 2]), "y": ("FP64", [-1])}


def test_onnx_in_an_environment_of_its_own(environment: Make) -> None:
    sklearn = environment("sklearn")
    sklearn.run(
        CLASSIFIER.replace("LABELS", "y").replace("KIND", "'i8'")
        + """
from skl2onnx import to_onnx
made = to_onnx(model, x[:1].astype("f4"), options={"zipmap": False})
open("model/model.onnx", "wb").write(made.SerializeToString())
answers["in_X"] = answers.pop("in_x").astype("f4")
np.savez("answers.npz", **answers, out_probabilities=model.predict_proba(x[::20]))
"""
    )
    found = shapes(sklearn.check("--framework", "onnx"))
    assert found["X"] == ("FP32", [-1, 4])


def test_mlflow(environment: Make) -> None:
    mlflow = environment("sklearn", "mlflow==3.17.2")
    mlflow.run(
        """
        import mlflow
        import numpy as np
        import pandas as pd

        class Sums(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                total = model_input["a"] + model_input["b"]
                return pd.DataFrame({"sum": total, "name": model_input["name"].str.upper()})

        x = pd.DataFrame({"a": [1.5, 2.0], "b": np.array([1, 2], "i8"), "name": ["x", "y"]})
        model = Sums()
        answer = model.predict(None, x)
        signature = mlflow.models.infer_signature(x, answer)
        import shutil; shutil.rmtree("model")
        mlflow.pyfunc.save_model("model", python_model=model, signature=signature)
        np.savez("answers.npz", in_a=x["a"], in_b=x["b"], in_name=x["name"].to_numpy(str),
                 out_sum=answer["sum"], out_name=answer["name"].to_numpy(str))
        """
    )
    assert shapes(mlflow.check("--framework", "mlflow")) == {
        "a": ("FP64", [-1]),
        "b": ("INT64", [-1]),
        "name": ("BYTES", [-1]),
        "sum": ("FP64", [-1]),
    }
