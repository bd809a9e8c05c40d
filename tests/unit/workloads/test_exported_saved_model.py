"""What ``models.export`` writes for TensorFlow Serving is what TensorFlow loads."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from tests import models_kit
from tests.conftest import People
from tests.unit.workloads.conftest import Framework

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.services.model_export import ModelExports

pytestmark = [pytest.mark.framework, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_a_saved_model_comes_through(
    keras: Framework, database: Database, clock: FixedClock, people: People, tmp_path: Path
) -> None:
    keras.script("""
        import keras, numpy as np
        net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        net.export("served", verbose=False)
        x = np.ones((4, 2), np.float32)
        np.savez("expected.npz", x=x, y=net(x))
    """)
    world = models_kit.world(database, clock, tmp_path)
    place = keras.folder / "served"
    files = {f"served/{p.relative_to(place)}": p.read_bytes() for p in place.rglob("*") if p.is_file()}
    manifest = world.send(people.editor, files)
    version = world.register(people.editor, "net", manifest=manifest, path="served")
    assert version.framework == "tensorflow"
    exports = ModelExports(world.models, world.jobs.ledger)
    name, pieces = exports.export(people.viewer, "net", "1", "tfserving")
    assert name == "net-1-tfserving.zip"
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        archive.extractall(keras.folder / "base")
    keras.script("""
        import numpy as np, tensorflow as tf
        with np.load("expected.npz") as expected:
            loaded = tf.saved_model.load("base/net/1")
            function = loaded.signatures["serving_default"]
            (name,) = function.structured_input_signature[1]
            (answer,) = function(**{name: tf.constant(expected["x"])}).values()
            np.testing.assert_allclose(answer.numpy(), expected["y"], rtol=1e-6)
    """)
