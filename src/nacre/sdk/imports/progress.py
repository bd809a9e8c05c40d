"""What an import did, and what it tells while it works."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from typing import Any

_MAX_PROBLEMS = 1000


@dataclass
class Report:
    """The summary of an import. ``already``: runs that an earlier import had brought."""

    source: str
    dry_run: bool = False
    experiments: int = 0
    runs: int = 0
    already: int = 0
    params: int = 0
    tags: int = 0
    points: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0
    logged_models: int = 0
    models: int = 0
    versions: int = 0
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Progress:
    """Counts, from several threads. Subclasses show it: ``changed`` is called after each step, under the
    lock."""

    def __init__(self, source: str, *, dry_run: bool = False) -> None:
        self.report = Report(source, dry_run)
        self._lock = threading.Lock()
        self._seen: set[str] = set()

    def add(self, **counts: int) -> None:
        """Add to the fields of the report."""
        with self._lock:
            for name, count in counts.items():
                setattr(self.report, name, getattr(self.report, name) + count)
            self.changed()

    def problem(self, sentence: str) -> None:
        """Something could not be imported; each sentence is kept once."""
        with self._lock:
            if sentence not in self._seen and len(self.report.problems) < _MAX_PROBLEMS:
                self._seen.add(sentence)
                self.report.problems.append(sentence)
            self.changed()

    def begin(self, what: str) -> None:
        """What is being imported now."""

    def changed(self) -> None:
        """The report has changed."""
