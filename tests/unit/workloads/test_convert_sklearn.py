"""scikit-learn estimators become ONNX forms that answer alike; labels stay what they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.workloads.conftest import Framework

from nacre.workloads import evaluate

pytestmark = [pytest.mark.framework, pytest.mark.slow]

SCRIPT = """
import joblib, numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
x, y = load_iris(return_X_y=True)
x = x.astype(np.float32)
names = np.array(["setosa", "versicolor", "virginica"])[y]
def half(x):
    return x / 2
def keep(name, model, **outputs):
    joblib.dump(model, f"{name}.joblib")
    found = {f"out_{k}": np.asarray(getattr(model, v)(x)) for k, v in outputs.items()}
    np.savez(f"{name}.npz", in_x=x, **found)
both = {"label": "predict", "probabilities": "predict_proba"}
keep("pipeline", make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y), **both)
keep("names", make_pipeline(StandardScaler(), LogisticRegression()).fit(x, names), **both)
keep("forest", RandomForestClassifier(5, random_state=0).fit(x, y.astype(float)), **both)
keep("svc", LinearSVC().fit(x, y), label="predict")
keep("clusters", KMeans(3, n_init=1, random_state=0).fit(x.astype(float)))
joblib.dump(Ridge().fit(x, x[:, 0] * 2 + 0.5), "ridge.joblib")
np.savez("ridge.npz", in_x=x, out_variable=(x[:, 0] * 2 + 0.5).reshape(-1, 1))
ridge = joblib.load("ridge.joblib")
np.savez("ridge.npz", in_x=x, out_variable=ridge.predict(x).reshape(-1, 1).astype(np.float32))
joblib.dump(make_pipeline(FunctionTransformer(half), LogisticRegression()).fit(x, y), "function.joblib")
joblib.dump(LogisticRegression(), "unfitted.joblib")
joblib.dump({"a": 1}, "dict.joblib")
np.savez("test_names.npz", x=x, y=names)
"""


@pytest.fixture
def trained(sklearn: Framework) -> Framework:
    sklearn.script(SCRIPT)
    return sklearn


def test_every_kind_of_estimator_answers_alike(trained: Framework) -> None:
    for name, label in {"pipeline": "INT64", "names": "BYTES", "forest": "INT64", "svc": "INT64"}.items():
        found = trained.convert("sklearn", "--model", f"{name}.joblib")
        assert found.inputs == [("x", "FP32", [-1, 4])]
        first = found.signature["outputs"][0]
        assert (first["name"], first["datatype"]) == ("label", label)
        found.answers_as(trained.folder / f"{name}.npz")
    found = trained.convert("sklearn", "--model", "ridge.joblib")
    found.answers_as(trained.folder / "ridge.npz")
    assert [t["datatype"] for t in found.signature["outputs"]] == ["FP32"]
    assert trained.convert("sklearn", "--model", "clusters.joblib").done.returncode == 0


def test_labels_that_are_names_are_evaluated_as_names(trained: Framework) -> None:
    found = trained.convert("sklearn", "--model", "names.joblib")
    assert found.done.returncode == 0, found.log
    measured = evaluate.evaluate(found.output / "model.onnx", trained.folder / "test_names.npz", None, None)
    assert measured["labels"] == ["setosa", "versicolor", "virginica"]
    assert measured["accuracy"] > 0.9
    numbers = _with_numbers(trained.folder)
    assert evaluate.evaluate(
        trained.convert("sklearn", "--model", "pipeline.joblib").output / "model.onnx", numbers, None, None
    )["accuracy"] == pytest.approx(measured["accuracy"])


def _with_numbers(folder: Path) -> Path:
    with np.load(folder / "test_names.npz") as data:
        np.savez(folder / "test_numbers.npz", x=data["x"], y=np.unique(data["y"], return_inverse=True)[1])
    return folder / "test_numbers.npz"


def test_what_cannot_be_converted_is_refused_with_a_sentence(trained: Framework) -> None:
    (trained.folder / "text.pkl").write_text("hello")
    for name, said in {
        "function.joblib": "skl2onnx cannot convert a Pipeline: FunctionTransformer is not supported",
        "unfitted.joblib": "fit it before saving it",
        "dict.joblib": "holds a dict, not a scikit-learn estimator",
        "text.pkl": "cannot be read by joblib",
        "gone.pkl": "is not among the model's files",
    }.items():
        assert said in trained.convert("sklearn", "--model", name, "--script", "train.py").refusal
