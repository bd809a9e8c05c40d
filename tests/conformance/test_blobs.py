"""Every built-in blob store keeps what the port promises."""

from pathlib import Path

import pytest

from nacre.plugins.blobs.files import FileBlobs
from nacre.testing.blobs import BlobsSuite, FakeBlobs


class TestFileBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> FileBlobs:
        return FileBlobs(tmp_path / "blobs")


class TestFakeBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self) -> FakeBlobs:
        return FakeBlobs()
