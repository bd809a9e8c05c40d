"""What work may import lies apart from the server, and never changes under running work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nacre.server.site import make_site


def test_work_finds_the_tracking_functions_and_no_server(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    program = (
        "import nacre, importlib.util as u; print(callable(nacre.log_metric), u.find_spec('nacre.server'))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "None"]


def test_a_replica_starts_from_it(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    command = ["-m", "nacre.modelserver.replica", "--model", str(tmp_path / "none"), "--socket", "s"]
    done = subprocess.run(
        [sys.executable, *command],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(site)},
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the model could not be loaded: there is nothing at ")


def test_a_second_start_leaves_what_running_work_has_mounted(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    inode = (site / "nacre" / "__init__.py").stat().st_ino
    assert make_site(tmp_path / "site") == site
    assert (site / "nacre" / "__init__.py").stat().st_ino == inode
    assert [p.name for p in (tmp_path / "site").iterdir()] == [site.name]


def test_python_starts_with_capture_from_byte_code(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    assert (site / "sitecustomize.py").is_file()
    tag = sys.implementation.cache_tag
    for name in ("start", "hook"):
        assert (site / f"nacre/launcher/capture/__pycache__/{name}.{tag}.pyc").is_file()
    assert not (site / "nacre" / "launcher" / "run.py").exists()


def test_a_site_folder_does_not_depend_on_where_or_when_it_was_made(tmp_path: Path) -> None:
    one, two = make_site(tmp_path / "one"), make_site(tmp_path / "two")
    assert one.name == two.name
    assert sorted(p.relative_to(one) for p in one.rglob("*")) == sorted(
        p.relative_to(two) for p in two.rglob("*")
    )
