"""scikit-learn to ONNX: ``python -m nacre.workloads.convert_sklearn`` (joblib or pickle files)."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
import sklearn
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import is_classifier

from nacre.workloads import conversion
from nacre.workloads.conversion import ConversionError, Request


def convert(request: Request) -> dict[str, Any]:
    """Convert an estimator or pipeline; a classifier answers ``label`` and ``probabilities``."""
    try:
        estimator = joblib.load(request.model)
    except Exception as error:
        raise ConversionError(f"{request.model.name} cannot be read by joblib: {error}") from error
    width = getattr(estimator, "n_features_in_", None)
    if width is None and request.inputs:
        width = request.inputs[0]["shape"][-1]
    if width is None:
        raise ConversionError("the estimator does not tell its number of features: fit it before saving it")
    options: dict[int, Any] = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else {}
    onnx = to_onnx(
        estimator, initial_types=[("x", FloatTensorType([None, width]))], options=options, target_opset=18
    )
    request.output.write_bytes(onnx.SerializeToString())
    sample = np.random.default_rng(0).standard_normal((2, width)).astype(np.float32)
    expected = np.asarray(estimator.predict(sample))
    if expected.dtype.kind in "iu":
        expected = expected.astype(np.int64)
    elif expected.dtype.kind == "f":
        expected = expected.reshape(len(expected), -1).astype(np.float32)
    return {
        "framework": f"scikit-learn {sklearn.__version__}",
        "difference": conversion.difference(request.output, [sample], [expected]),
    }


if __name__ == "__main__":
    conversion.run(convert)
