"""A site folder as the server makes it, and programs in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.capture_kit import Job, build_frameworks

from nacre.server.site import make_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("site") / "sites")


@pytest.fixture
def job(site: Path, tmp_path: Path) -> Job:
    """A job in the Python of the tests."""
    return Job(site, tmp_path)


@pytest.fixture(scope="session")
def heavy_python() -> Iterator[Path]:
    """The Python of ``FRAMEWORKS``; ``NACRE_TEST_ENVIRONMENTS`` names a folder that keeps it."""
    kept = os.environ.get("NACRE_TEST_ENVIRONMENTS")
    folder = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="nacre-capture-"))
    yield build_frameworks(folder)
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def heavy(site: Path, tmp_path: Path, heavy_python: Path) -> Job:
    """A job in an environment with the frameworks."""
    return Job(site, tmp_path, heavy_python)
