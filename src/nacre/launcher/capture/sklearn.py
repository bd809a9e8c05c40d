"""scikit-learn, and every estimator on its base class: the fits that the program calls itself.

``BaseEstimator`` gets an ``__init_subclass__`` before any estimator exists, which wraps ``fit`` and
``score`` where a class defines them. Fits inside fits are passed through.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from nacre.launcher.capture import estimators, nesting
from nacre.launcher.capture.guard import Guard

_guard = Guard("sklearn", "sklearn")
_VALIDATIONS = (
    "cross_validate",
    "cross_val_score",
    "cross_val_predict",
    "learning_curve",
    "validation_curve",
    "permutation_test_score",
)


def patch(module: Any) -> None:
    """Change the base class, or the functions of cross-validation."""
    if module.__name__ == "sklearn.base":
        _patch_base(module)
        return
    for name in _VALIDATIONS:
        original = getattr(module, name, None)
        if original is not None and not hasattr(original, "nacre"):
            setattr(module, name, _validation(original))


def _patch_base(module: Any) -> None:
    base = module.BaseEstimator

    def __init_subclass__(cls: Any, **kwargs: Any) -> None:  # noqa: N807 - set on the class below
        super(base, cls).__init_subclass__(**kwargs)
        _guard.careful(_wrap_methods)(cls)

    base.__init_subclass__ = classmethod(__init_subclass__)  # type: ignore[arg-type]
    for name in ("ClassifierMixin", "RegressorMixin"):
        if hasattr(module, name):
            _wrap_methods(getattr(module, name))


def _wrap_methods(kind: Any) -> None:
    for name, wrap in (("fit", _fit), ("score", _score)):
        found = vars(kind).get(name)
        inner = getattr(found, "fn", None)  # of scikit-learn's ``available_if``
        if callable(inner) and hasattr(found, "check"):
            if not hasattr(inner, "nacre"):
                found.fn = wrap(inner)
        elif isinstance(found, type(_wrap_methods)) and not hasattr(found, "nacre"):
            setattr(kind, name, wrap(found))


def _fit(original: Callable[..., Any]) -> Any:
    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        name = type(self).__name__
        outermost = nesting.enter(self, name)
        began = time.perf_counter()
        try:
            result = original(self, *args, **kwargs)
            if outermost:
                _fitted(self, time.perf_counter() - began, args, kwargs)
            return result
        finally:
            nesting.leave(self, name)

    fit.nacre = True  # type: ignore[attr-defined]
    return fit


@_guard.careful
def _fitted(estimator: Any, seconds: float, args: Any, kwargs: Any) -> None:
    if not _guard.silent():
        estimators.fitted(estimator, seconds, args, kwargs)


def _score(original: Callable[..., Any]) -> Any:
    @functools.wraps(original)
    def score(self: Any, *args: Any, **kwargs: Any) -> Any:
        name = type(self).__name__
        outermost = nesting.enter(self, name)
        try:
            result = original(self, *args, **kwargs)
            if outermost:
                _scored(self, result)
            return result
        finally:
            nesting.leave(self, name)

    score.nacre = True  # type: ignore[attr-defined]
    return score


@_guard.careful
def _scored(estimator: Any, result: Any) -> None:
    if not _guard.silent():
        estimators.scored(estimator, result, estimators.caller(__file__))


def _validation(original: Callable[..., Any]) -> Any:
    name = original.__name__

    @functools.wraps(original)
    def validated(*args: Any, **kwargs: Any) -> Any:
        outermost = nesting.enter(original, name)
        try:
            result = original(*args, **kwargs)
            if outermost:
                _validated(name, args[0] if args else kwargs.get("estimator"), result)
            return result
        finally:
            nesting.leave(original, name)

    validated.nacre = True  # type: ignore[attr-defined]
    return validated


@_guard.careful
def _validated(name: str, estimator: Any, result: Any) -> None:
    if not _guard.silent():
        estimators.validated(name, estimator, result)
