"""What runs batches, and the ways in which it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nacre.modelserver.calls import Outcome
from nacre.modelserver.tensors import Array


class Refused(Exception):
    """A request that gets this HTTP status and sentence instead of an answer. ``retry_after``: seconds."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after = 1


class Overloaded(Refused):
    """Too much waits already: 503, try again."""

    def __init__(self, text: str) -> None:
        super().__init__(503, text)


class DeadlineExceeded(Refused):
    """There was no answer in time: 504."""

    def __init__(self, text: str) -> None:
        super().__init__(504, text)


class ReplicaLost(Refused):
    """The replica died while it had this request: 503."""

    def __init__(self, text: str) -> None:
        super().__init__(503, text)


class ModelFailed(Refused):
    """The model failed on this input: 500."""

    def __init__(self, text: str) -> None:
        super().__init__(500, text)


class Local(Protocol):
    """A model in this process."""

    inline: bool
    """Whether a run is so short that the event loop may wait for it."""

    def run(self, outputs: list[str], feed: dict[str, Array]) -> list[Array]:
        """The named outputs, in that order; from any thread. Raises what its runtime raises."""
        ...


class Remote(Protocol):
    """A model in processes of its own."""

    def start(
        self,
        outputs: list[str],
        feed: dict[str, Array],
        deadline: float,
        done: Callable[[Outcome], None],
    ) -> None:
        """Run a batch until ``deadline`` (the loop's time). ``done`` is called once, on the event loop,
        with the arrays, a :class:`Refused`, or ``BadRequest``."""
        ...
