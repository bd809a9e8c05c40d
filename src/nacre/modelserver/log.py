"""Log lines of the model server: one event a line, on stderr."""

from __future__ import annotations

import logging
import sys
import time


def configure(who: str) -> None:
    """Readable lines with the time in UTC and which process speaks."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)s {who}: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
