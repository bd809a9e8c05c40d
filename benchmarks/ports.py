"""Ports for the servers of benchmarks."""

from __future__ import annotations

import random
import socket


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    for first in range(random.randrange(21000, 26000), 32000, 8):
        probes = [socket.socket() for _ in range(count)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind(("127.0.0.1", first + offset))
            return first
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
    raise SystemExit(f"no {count} free ports in a row")
