"""Scripts of tutorials that let their framework fetch the data, unchanged, in jobs without internet."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from real_server import Server
from tests.capture_kit import FRAMEWORKS

pytestmark = [pytest.mark.slow, pytest.mark.framework]

KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras
(x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
print(keras.__version__, x.shape, y.shape, x_test.shape)
model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
model.compile(loss="sparse_categorical_crossentropy")
model.fit(x / 255.0, y, epochs=2, verbose=0)
"""

FILES = """
import gzip, os, struct
path = os.path.expanduser("~/.mxnet/datasets/mnist/train-images-idx3-ubyte.gz")
print(struct.unpack(">IIII", gzip.open(path).read(16)))
print(sorted(os.listdir("data/MNIST/raw")) == sorted(os.listdir("../data/MNIST/raw")))
"""


@pytest.fixture(scope="module")
def pushed(nacre_server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small stand-in for MNIST: random images, in Keras' form and in the original one."""
    folder: Path = tmp_path_factory.mktemp("mnist")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (64, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, 64, dtype=np.uint8)
    np.savez(folder / "mnist.npz", x_train=x, y_train=y, x_test=x[:8], y_test=y[:8])
    for part in ("train", "t10k"):
        images = struct.pack(">IIII", 2051, 64, 28, 28) + x.tobytes()
        labels = struct.pack(">II", 2049, 64) + y.tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    nacre_server.client().data.push(folder, "tiny-mnist")
    return "tiny-mnist"


def run(server: Server, script: str, environment: str, **named: object) -> str:
    job = server.submit(
        {"main.py": script},
        environment=environment,
        resources={"cpu": 0.5, "memory": "2GB", "shm_size": "16MB"},
        inputs={"tiny": named},
    )
    ended = server.wait(job, timeout_s=300)
    text = server.log(job).decode()
    assert ended.state == "succeeded", text
    return text


def test_keras_loads_a_stand_in_for_mnist_and_the_log_says_so(nacre_server: Server, pushed: str) -> None:
    client = nacre_server.client()
    client.environments.create("named-frameworks", requirements="\n".join(FRAMEWORKS))
    nacre_server.run("env", "build", "named-frameworks", timeout_s=900)
    text = run(nacre_server, KERAS, "named-frameworks", path=pushed, **{"as": "keras:mnist"})
    assert "(64, 28, 28) (64,) (8, 28, 28)" in text
    told = "[nacre] mnist.npz is not the original but a stand-in: the input tiny"
    assert text.count(told) == 1


def test_a_name_without_a_framework_is_found_by_all_that_know_it(nacre_server: Server, pushed: str) -> None:
    text = run(nacre_server, FILES, "base", path=pushed, **{"as": "mnist"})
    assert text == "(2051, 64, 28, 28)\nTrue\n"
