"""Settles conversions and evaluations whose jobs have ended."""

from __future__ import annotations

from nacre.control.loop import Loop
from nacre.services.conversions import Conversions
from nacre.services.evaluations import Evaluations


class ModelLoop(Loop):
    """Wakes when a job ends."""

    name = "models"
    topics = ("jobs",)
    interval_s = 5.0

    def __init__(self, conversions: Conversions, evaluations: Evaluations) -> None:
        self._conversions = conversions
        self._evaluations = evaluations

    def run_once(self) -> None:
        """Settle whatever can be settled."""
        self._conversions.settle()
        self._evaluations.settle()
