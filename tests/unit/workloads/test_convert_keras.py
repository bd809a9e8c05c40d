"""Keras models and SavedModels become ONNX forms that answer alike."""

from __future__ import annotations

import pytest
from tests.unit.workloads.conftest import Framework

pytestmark = [pytest.mark.framework, pytest.mark.slow]

SCRIPT = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np, tensorflow as tf
layers = keras.layers
def keep(name, inputs, outputs):
    given = {f"in_{k}": v for k, v in inputs.items()}
    np.savez(f"{name}.npz", **given, **{f"out_{k}": np.asarray(v) for k, v in outputs.items()})
x = np.random.default_rng(0).standard_normal((5, 8, 8, 1)).astype(np.float32)
net = keras.Sequential([
    keras.Input((8, 8, 1), name="image"), layers.Conv2D(4, 3, activation="relu"), layers.Dropout(0.5),
    layers.Flatten(), layers.Dense(10, activation="softmax"),
])
net.save("net.keras")
keep("net", {"image": x}, {"y": net(x, training=False)})
net.export("exported", verbose=False)
keep("exported", {"image": x}, {"output_0": net(x, training=False)})
a, b = keras.Input((4,), name="a"), keras.Input((3,), dtype="int32", name="b")
words = layers.Flatten()(layers.Embedding(5, 2)(b))
two = keras.Model([a, b], [layers.Dense(2)(layers.Concatenate()([a, words])), layers.Dense(1)(a)])
two.save("two.keras")
given = [x[:, 0, :4, 0], np.ones((5, 3), np.int32)]
first, second = two(given, training=False)
keep("two", {"a": given[0], "b": given[1]}, {"y": first, "y1": second})
class Plain(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32)])
    def __call__(self, x):
        return {"out": tf.nn.relu(x) * 2.0}
plain = Plain()
tf.saved_model.save(plain, "plain", signatures=plain.__call__)
keep("plain", {"x": x[:, 0, :3, 0]}, {"out": plain(x[:, 0, :3, 0])["out"]})
"""


@pytest.fixture
def trained(keras: Framework) -> Framework:
    keras.script(SCRIPT)
    return keras


def test_every_kind_of_file_answers_alike(trained: Framework) -> None:
    for name, model in {
        "net": "net.keras",
        "exported": "exported",
        "two": "two.keras",
        "plain": "plain",
    }.items():
        found = trained.convert("keras", "--model", model)
        assert all(shape[0] == -1 for _, _, shape in found.inputs)
        found.answers_as(trained.folder / f"{name}.npz")
    (trained.folder / "text.keras").write_text("hello")
    (trained.folder / "empty").mkdir()
    assert "is not a Keras model" in trained.convert("keras", "--model", "text.keras").refusal
    assert "is not a SavedModel" in trained.convert("keras", "--model", "empty").refusal
