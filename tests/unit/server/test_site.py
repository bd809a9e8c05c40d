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


def test_a_second_start_leaves_what_running_work_has_mounted(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    inode = (site / "nacre" / "__init__.py").stat().st_ino
    assert make_site(tmp_path / "site") == site
    assert (site / "nacre" / "__init__.py").stat().st_ino == inode
    assert [p.name for p in (tmp_path / "site").iterdir()] == [site.name]
