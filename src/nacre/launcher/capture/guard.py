"""The wall between capture and the program: no exception passes it, and it knows when to be silent."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Guard:
    """One framework's capture.

    Args:
        framework: its name, for the line that says that it is off.
        integrations: what MLflow calls its autologging of the same framework.
    """

    def __init__(self, framework: str, *integrations: str) -> None:
        self.framework = framework
        self.off = False
        self._integrations = integrations

    def silent(self) -> bool:
        """Whether nothing is captured now: after a failure, when the program has set ``NACRE_CAPTURE`` to
        ``off``, or while MLflow's autologging of this framework does the same."""
        return self.off or os.environ.get("NACRE_CAPTURE") != "on" or self._autologged()

    def _autologged(self) -> bool:
        mlflow = sys.modules.get("mlflow.utils.autologging_utils")
        try:
            return mlflow is not None and any(
                name in mlflow.AUTOLOGGING_INTEGRATIONS and not mlflow.autologging_is_disabled(name)
                for name in self._integrations
            )
        except Exception:  # another MLflow: its own curves beside ours are the lesser evil
            return False

    def fail(self, error: BaseException) -> None:
        """Switch this framework's capture off, and say so once."""
        if not self.off:
            self.off = True
            say(f"capture of {self.framework} is off: {type(error).__name__}: {error}")

    def careful(self, function: Callable[..., T]) -> Callable[..., T | None]:
        """``function``, which gives None instead when it raises, or is not called while all is off."""

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> T | None:
            if self.off:
                return None
            try:
                return function(*args, **kwargs)
            except Exception as error:
                self.fail(error)
                return None

        return guarded


def say(words: str) -> None:
    """One line for the job's log."""
    line = " ".join(f"[nacre] {words}".split())
    with contextlib.suppress(Exception):  # a program may close stderr
        print(line[:500], file=sys.stderr, flush=True)  # noqa: T201 - the job's log is where users look
