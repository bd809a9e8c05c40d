"""scikit-learn to ONNX: ``python -m nacre.workloads.convert_sklearn`` (joblib, pickle or skops files)."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
import sklearn
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, is_classifier

from nacre.workloads import conversion, definitions
from nacre.workloads.conversion import ConversionError, Request

OPSET = 18


def load(request: Request) -> Any:
    """The fitted estimator in the file.

    Raises:
        ConversionError: it cannot be read, or is something else.
    """
    definitions.define(request.script, request.module)
    skops = request.model.suffix == ".skops"
    try:
        found = _load_skops(request) if skops else joblib.load(request.model)
    except ConversionError:
        raise
    except Exception as error:
        by = "skops" if skops else "joblib"
        raise ConversionError(f"{request.model.name} cannot be read by {by}: {error}") from error
    if not isinstance(found, BaseEstimator) or not hasattr(found, "predict"):
        raise ConversionError(
            f"{request.model.name} holds a {type(found).__name__}, not a scikit-learn estimator that predicts"
        )
    return found


def _load_skops(request: Request) -> Any:
    """Whatever types the file names, when a program of the project made it: this one is in a sandbox, where
    pickles are loaded, too. Else those alone that skops knows."""
    from skops import io

    unknown = io.get_untrusted_types(file=request.model)
    if request.untrusted and unknown:
        raise ConversionError(
            f"it has types that skops does not know to be harmless ({', '.join(unknown[:5])}): register it "
            "from the run that made it"
        )
    return io.load(request.model, trusted=unknown)


def _width(estimator: Any, request: Request) -> int:
    width = getattr(estimator, "n_features_in_", None)
    if width is None and request.inputs:
        width = request.inputs[0]["shape"][-1]
    if width is None:
        raise ConversionError("the estimator does not tell its number of features: fit it before saving it")
    return int(width)


def _onnx(estimator: Any, width: int) -> Any:
    """A classifier answers ``label`` and ``probabilities`` as tensors (``zipmap`` off) where it can."""
    types = [("x", FloatTensorType([None, width]))]
    tries: list[dict[int, Any]] = [{id(estimator): {"zipmap": False}}] if is_classifier(estimator) else []
    for options in [*tries, {}]:
        try:
            return to_onnx(estimator, initial_types=types, options=options, target_opset=OPSET)
        except NameError as error:  # this classifier has no such option
            said: Exception = error
        except Exception as error:
            said = error
            break
    words = " ".join(str(said).split())[:400]
    raise ConversionError(f"skl2onnx cannot convert a {type(estimator).__name__}: {words}")


def _expected(estimator: Any, sample: NDArray[Any]) -> list[NDArray[Any]]:
    try:
        answer = np.asarray(estimator.predict(sample))
    except ValueError:  # some that were fitted on doubles take nothing else
        sample = sample.astype(np.float64)
        answer = np.asarray(estimator.predict(sample))
    if not is_classifier(estimator):
        return [answer.astype(np.float32 if answer.dtype.kind == "f" else answer.dtype)]
    if answer.dtype.kind == "f":  # classes that are numbers are whole ones in ONNX
        answer = answer.astype(np.int64)
    if answer.dtype.kind not in "iub" or not hasattr(estimator, "predict_proba"):
        return [answer]
    return [answer, np.asarray(estimator.predict_proba(sample), dtype=np.float32)]


def convert(request: Request) -> dict[str, Any]:
    """Convert an estimator or pipeline and check the result against it."""
    with conversion.loading(request):
        estimator = load(request)
    width = _width(estimator, request)
    request.output.write_bytes(_onnx(estimator, width).SerializeToString())
    sample = np.random.default_rng(0).standard_normal((4, width)).astype(np.float32)
    return {
        "framework": f"scikit-learn {sklearn.__version__}",
        "difference": conversion.difference(request.output, [sample], _expected(estimator, sample)),
    }


if __name__ == "__main__":
    conversion.run(convert)
