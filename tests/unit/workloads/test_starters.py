"""The console's scripts to begin with run as they are, and leave models that convert and answer well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tests.unit.workloads.conftest import Framework

from nacre.workloads import evaluate

pytestmark = [pytest.mark.framework, pytest.mark.slow]

STARTERS = Path(__file__).resolve().parents[3] / "console" / "src" / "pages" / "welcome" / "starters"


def starter(name: str, before: str = "") -> str:
    """The script, after lines that make its input."""
    return f"{before}\n{(STARTERS / f'{name}.py').read_text()}"


DIGITS_AS_IMAGES = """
import os, pathlib
from PIL import Image
from sklearn.datasets import load_digits as _load
import numpy as _np
_found = _load()
for _i, (_image, _digit) in enumerate(zip(_found.images, _found.target)):
    if _i % 5 != 4:
        _file = pathlib.Path("data", str(_digit), f"{_i:04}.png")
        _file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((_image * 255 / 16).round().astype(_np.uint8)).save(_file)
os.environ["NACRE_INPUT_DIGITS"] = "data"
"""


@pytest.mark.parametrize("before", ["", DIGITS_AS_IMAGES], ids=["built-in", "images"])
def test_digits_are_recognised_whatever_ink_is(sklearn: Framework, before: str) -> None:
    sklearn.script(starter("digits", before))
    found = sklearn.convert("sklearn", "--model", "output/model.joblib")
    assert found.inputs == [("x", "FP32", [-1, 64])]
    if before:
        assert not (sklearn.folder / "output" / "digits-test.npz").exists()
        return
    with np.load(sklearn.folder / "output" / "digits-test.npz") as held_out:
        x, y = held_out["x"], held_out["y"]
    session = onnxruntime.InferenceSession(str(found.output / "model.onnx"))
    for ink in (1, 16, 255):
        answers = session.run(["label"], {"x": (x * ink).astype(np.float32)})[0]
        assert float((np.asarray(answers) == y).mean()) > 0.95
    measured = evaluate.evaluate(
        found.output / "model.onnx", sklearn.folder / "output" / "digits-test.npz", None, None
    )
    assert measured["samples"] == 359
    assert measured["accuracy"] > 0.95


TABLE = """
import os, pathlib
from sklearn.datasets import load_iris
_found = load_iris(as_frame=True)
pathlib.Path("data").mkdir(exist_ok=True)
_found.frame.rename(columns={"target": "label"}).to_csv("data/iris.csv", index=False)
os.environ["NACRE_INPUT_DATA"] = "data"
"""


def test_a_table_is_learned(sklearn: Framework) -> None:
    sklearn.script(starter("table", TABLE))
    found = sklearn.convert("sklearn", "--model", "output/model.joblib")
    assert found.inputs == [("x", "FP32", [-1, 4])]


IMAGES = """
import os, pathlib
import numpy as _np
from PIL import Image
_rng = _np.random.default_rng(0)
for _channel, _name in enumerate(("red", "green", "blue")):
    pathlib.Path("data", _name).mkdir(parents=True, exist_ok=True)
    for _i in range(24):
        _pixels = _rng.integers(0, 120, (16, 16, 3), dtype=_np.uint8)
        _pixels[..., _channel] += 120
        Image.fromarray(_pixels).save(pathlib.Path("data", _name, f"{_i}.png"))
os.environ["NACRE_INPUT_DATA"] = "data"
"""


def test_images_are_learned(pytorch: Framework) -> None:
    pytorch.script(starter("images", IMAGES))
    found = pytorch.convert("pytorch", "--model", "model.pt", "--script", "train.py")
    name, datatype, shape = found.inputs[0]
    assert (datatype, shape) == ("FP32", [-1, 3, 16, 16])
    session = onnxruntime.InferenceSession(str(found.output / "model.onnx"))
    blue = np.full((1, 3, 16, 16), 0.2, np.float32)
    blue[:, 2] = 0.7
    assert int(np.asarray(session.run(None, {name: blue})[0]).argmax()) == 0  # blue, green, red


def test_the_smallest_job_keeps_a_file(sklearn: Framework) -> None:
    sklearn.script(starter("hello"))
    assert (sklearn.folder / "output" / "note.txt").read_text().startswith("whatever is in")
