"""scikit-learn estimators and pipelines: joblib, pickle or skops files."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import joblib
import numpy as np
from sklearn.base import is_classifier

from nacre.modelserver.frames import datatype_of
from nacre.modelserver.replica.predictors.base import Arrays, BadInput, LoadError, Predictor


class Sklearn(Predictor):
    """A classifier gives ``label`` and, where it can, ``probabilities``; any other estimator ``y``.

    The one input ``x`` is FP64 [-1, features]. A model that was fitted on a table with names gets one.
    """

    framework = "sklearn"

    def __init__(self, path: str) -> None:
        self._estimator = _read(path)
        if not hasattr(self._estimator, "predict"):
            kind = type(self._estimator).__name__
            raise LoadError(f"{os.path.basename(path)} holds a {kind}, not an estimator that predicts")
        self._classifies = is_classifier(self._estimator)
        self._columns = [str(name) for name in getattr(self._estimator, "feature_names_in_", [])]
        width = getattr(self._estimator, "n_features_in_", None)
        if width is not None:
            self.inputs = [{"name": "x", "datatype": "FP64", "shape": [-1, int(width)]}]

    def run(self, feed: Arrays) -> Arrays:
        """Predict; the sender gets to know what the estimator refuses."""
        samples = self._samples(feed)
        try:
            answer = np.asarray(self._estimator.predict(samples))
            if not self._classifies:
                return {"y": _plain(answer)}
            found = {"label": _plain(answer)}
            if hasattr(self._estimator, "predict_proba"):
                chances = self._estimator.predict_proba(samples)
                if isinstance(chances, list):  # of a classifier with several labels for a sample
                    for number, each in enumerate(chances):
                        found["probabilities" + (str(number) if number else "")] = np.asarray(each)
                else:
                    found["probabilities"] = np.asarray(chances)
        except ValueError as error:
            raise BadInput(f"the model refuses this input: {error}") from error
        return found

    def _samples(self, feed: Arrays) -> Any:
        arrays = list(feed.values())
        if len(arrays) == 1 and not self._columns:
            return arrays[0]
        pandas = import_module("pandas")
        if len(arrays) == 1:
            return pandas.DataFrame(arrays[0], columns=self._columns)
        return pandas.DataFrame({name: array.reshape(-1) for name, array in feed.items()})


def _plain(array: Any) -> Any:
    """Labels of whatever type, as numbers or text."""
    try:
        datatype_of(array)
    except TypeError:
        return array.astype(str).astype(object)
    return array


def _read(path: str) -> Any:
    name = os.path.basename(path)
    try:
        if path.endswith(".skops"):
            io = import_module("skops.io")
            # The same trust as in a pickle: the file is the project's own, and this is its sandbox.
            return io.load(path, trusted=io.get_untrusted_types(file=path))
        return joblib.load(path)
    except (AttributeError, ModuleNotFoundError) as error:
        raise LoadError(
            f"{name} needs code that is not there ({error}): put its .py file beside the model, or add the "
            "package to the environment"
        ) from error
    except Exception as error:
        raise LoadError(f"{name} cannot be read: {error}") from error


def load(path: str) -> Sklearn:
    """The model of a ``.joblib``, ``.pkl``, ``.pickle`` or ``.skops`` file.

    Raises:
        LoadError: it cannot be loaded, or is no estimator.
    """
    return Sklearn(path)
