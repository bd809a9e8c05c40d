"""Settings from the environment."""

from __future__ import annotations

import os

import pytest

from nacre.errors import InvalidSpec
from nacre.server.settings import read_settings


def test_inference_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NACRE_INFERENCE_WORKERS", raising=False)
    assert read_settings().inference_workers == min(2, os.cpu_count() or 1)
    monkeypatch.setenv("NACRE_INFERENCE_WORKERS", "7")
    assert read_settings().inference_workers == 7
    for wrong in ("0", "1000", "two"):
        monkeypatch.setenv("NACRE_INFERENCE_WORKERS", wrong)
        with pytest.raises(InvalidSpec, match="NACRE_INFERENCE_WORKERS"):
            read_settings()
