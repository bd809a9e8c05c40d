"""Trees go with their manifests, so that deleted data leaves the disk."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from tests.conftest import People

from nacre.clock import FixedClock
from nacre.control.blobs import BlobLoop
from nacre.db.connect import Database
from nacre.plugins.blobs.files import FileBlobs
from nacre.schema.launch import FileEntry, Manifest
from nacre.services.blobs import BlobLedger


def test_a_tree_goes_when_its_manifest_was_collected_and_not_before(
    database: Database, clock: FixedClock, people: People, tmp_path: Path
) -> None:
    ledger = BlobLedger(database, clock, FileBlobs(tmp_path / "blobs"))
    data = ledger.keep(people.project.id, b"pixels")
    entry = FileEntry(path="a.bin", size=6, digest=data)
    manifest = ledger.write_manifest(people.project.id, Manifest(files=[entry]))
    with database.write() as session:
        ledger.add_reference(session, people.project.id, "dataset_version", "dsv_1", manifest)
    trees = tmp_path / "trees"
    (trees / manifest).mkdir(parents=True)
    os.link(tmp_path / "blobs" / data[:2] / data, trees / manifest / "a.bin")
    loop = BlobLoop(ledger, trees)

    clock.advance(timedelta(days=3).total_seconds())
    loop.run_once()
    assert (trees / manifest / "a.bin").read_bytes() == b"pixels"

    with database.write() as session:
        ledger.drop_reference(session, "dataset_version", "dsv_1")
    for _ in range(3):  # released, found orphaned, removed: each after its time of grace
        clock.advance(timedelta(days=2).total_seconds())
        loop.run_once()
    assert not (trees / manifest).exists()
    assert not (tmp_path / "blobs" / data[:2] / data).exists()


def test_half_made_trees_go_after_a_day(
    database: Database, clock: FixedClock, people: People, tmp_path: Path
) -> None:
    trees = tmp_path / "trees"
    fresh, old = trees / "abc.1.tmp", trees / "abc.2.tmp"
    for path in (fresh, old):
        path.mkdir(parents=True)
    os.utime(old, (1, 1))
    BlobLoop(BlobLedger(database, clock, FileBlobs(tmp_path / "blobs")), trees).sweep()
    assert fresh.is_dir()
    assert not old.exists()
