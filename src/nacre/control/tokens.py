"""Keeps the tokens' table: when they were last used, and that expired ones go."""

from __future__ import annotations

from typing import ClassVar

from nacre.control.loop import Loop
from nacre.services.tokens import Tokens


class TokenLoop(Loop):
    """Once a minute, so that no request waits for such a write."""

    name: ClassVar[str] = "tokens"
    interval_s: ClassVar[float] = 60.0

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def run_once(self) -> None:
        self._tokens.record_uses()
        self._tokens.sweep()
