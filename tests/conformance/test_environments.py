"""The environments port's suite over its implementations."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.plugins.environments.uv import UvEnvironments
from nacre.testing.environments import EnvironmentsSuite, FakeEnvironments


class TestFakeEnvironments(EnvironmentsSuite):
    @pytest.fixture
    def environments(self, tmp_path: Path) -> FakeEnvironments:
        return FakeEnvironments(tmp_path)


class TestUvEnvironments(EnvironmentsSuite):
    @pytest.fixture
    def environments(self, tmp_path: Path) -> UvEnvironments:
        return UvEnvironments(tmp_path / "environments")
