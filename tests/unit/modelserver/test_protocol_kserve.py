"""What KServe's protocol v1 has beyond TensorFlow Serving's."""

from __future__ import annotations

import dialect_kit as kit
import numpy as np

from nacre.modelserver.table import TABLE


def test_the_models_of_an_endpoint() -> None:
    assert kit.get("v1/models", kit.view()) == (200, {"models": ["m"]})
    assert kit.get("v1/models", kit.view(None)) == (200, {"models": ["digits"]})


def test_a_model_tells_whether_it_is_ready() -> None:
    for view, name, ready in ((kit.view(), "m", True), (kit.view(None), "digits", False)):
        _, found = kit.get("v1/models/m", view)
        assert (found["name"], found["ready"]) == (name, ready)


def test_predict_goes_by_rows() -> None:
    call = kit.decode("v1/models/m:predict", {"instances": [[1, 2, 3]]})
    assert kit.encode(call, [np.array([[1, 2]], "f4")]) == {"predictions": [[1, 2]]}


def test_explanations_are_not_offered_yet() -> None:
    status, found = kit.get("v1/models/m:explain", kit.view(), "POST")
    assert (status, "not offered yet" in found["error"]) == (501, True)


def test_the_base_address_is_alive_and_tells_what_is_below_it() -> None:
    status, found = kit.get("", kit.view(None))
    assert (status, found["status"], found["name"]) == (200, "alive", "digits")
    for path in found["paths"]:
        method, _, below = path.partition(" ")
        routes, parameters = TABLE.find(below.split("/"))
        assert method in routes, path
        assert parameters in ({}, {"model": "digits"}), path
    assert {"POST v2/models/digits/infer", "POST v1/models/digits:predict", "POST invocations"} <= {
        *found["paths"]
    }
