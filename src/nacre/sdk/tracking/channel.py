"""Inside a job: records go to the launcher's track file, and from there to the server."""

from __future__ import annotations

import os
import warnings


class TrackFile:
    """Appends each record at once, in one ``write`` to a file opened with ``O_APPEND``.

    So lines of threads, forks and DataLoader workers never mix, nothing is left in a buffer when the
    program crashes, and it does not matter whether the server is there.
    """

    def __init__(self, path: str, run_id: str) -> None:
        self.run_id = run_id
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._warned = False

    def write(self, lines: list[str]) -> None:
        """Append the lines. A disk that is full or over its quota loses them, with a warning."""
        data = "\n".join(lines).encode() + b"\n"
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                # Somebody else may write next: end the torn line, and begin it anew.
                data = b"\n" + data[data.rfind(b"\n", 0, written) + 1 :]
                written = os.write(self._descriptor, data)
        except OSError as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"nacre: metrics cannot be written to {self._path}: {error.strerror}; the job goes on",
                    RuntimeWarning,
                    stacklevel=4,
                )

    def after_fork(self) -> None:
        """Children share the file: nothing to do."""

    def end(self, state: str) -> None:
        """The job ends its run."""
