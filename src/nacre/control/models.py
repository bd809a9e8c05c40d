"""Settles conversions, evaluations, predictions and drift reports whose jobs have ended."""

from __future__ import annotations

from typing import Protocol

from nacre.control.loop import Loop


class Settler(Protocol):
    """A kind of things that jobs bring about."""

    def settle(self) -> None:
        """Give each whose job has ended its result, or the reason why it has none."""
        ...


class ModelLoop(Loop):
    """Wakes when a job ends."""

    name = "models"
    topics = ("jobs",)
    interval_s = 5.0

    def __init__(self, *settlers: Settler) -> None:
        self._settlers = settlers

    def run_once(self) -> None:
        """Settle whatever can be settled."""
        for settler in self._settlers:
            settler.settle()
