"""What ``nacre doctor`` says of a machine: each lack with its consequence and what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pynvml
import pytest

from nacre.launcher.isolation import detect
from nacre.schema.server import Check, CheckState, Diagnosis
from nacre.server import doctor, home
from nacre.server.doctor import GIB
from nacre.server.settings import Settings
from nacre.services.prices import Prices

OK, WARNING, PROBLEM = CheckState.OK, CheckState.WARNING, CheckState.PROBLEM
FULL: dict[str, Any] = {
    "is_root": True,
    "bubblewrap": "/usr/bin/bwrap",
    "bubblewrap_version": "0.8.0",
    "bubblewrap_works": True,
    "bubblewrap_reason": None,
    "mode": "bwrap-root",
    "cgroup_version": 2,
    "memory": True,
    "processes": True,
    "cpu": True,
    "seccomp": True,
    "level": "full",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home", port=1, content_port=2, inference_port=3)


@pytest.mark.parametrize(
    ("free", "files", "state"),
    [
        (50 * GIB, 0.9, OK),
        (50 * GIB, None, OK),
        (50 * GIB, 0.01, WARNING),
        (5 * GIB, 0.9, WARNING),
        (GIB // 2, 0.9, PROBLEM),
    ],
)
def test_disk(free: int, files: float | None, state: CheckState) -> None:
    check = doctor.disk_check(Path("/home/nacre"), free, files)
    assert (check.name, check.state) == ("disk", state)
    assert bool(check.remedy) == (state is not OK)


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    [check] = doctor.check_home(Settings(tmp_path / "file" / "home"))
    assert check.state is PROBLEM
    assert check.remedy


def test_a_key_that_others_can_read(settings: Settings) -> None:
    home.prepare(settings)
    key = settings.home / "secret.key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    assert [check.name for check in doctor.check_home(settings)] == ["disk"]
    key.chmod(0o640)
    [_, check] = doctor.check_home(settings)
    assert (check.name, check.state, check.remedy) == ("secrets", PROBLEM, f"chmod 600 {key}")


@pytest.mark.parametrize(
    ("lack", "name", "remedy"),
    [
        (
            {"bubblewrap": None, "bubblewrap_works": False, "level": "reduced", "seccomp": False},
            "sandbox",
            "apt install bubblewrap",
        ),
        (
            {
                "bubblewrap_works": False,
                "bubblewrap_reason": "No permissions to create new namespace",
                "level": "reduced",
                "seccomp": False,
            },
            "sandbox",
            "unprivileged_userns_clone",
        ),
        ({"memory": False, "level": "partial"}, "limits", "Delegate=yes"),
        ({"seccomp": False, "level": "partial"}, "syscalls", "libseccomp"),
    ],
)
def test_isolation_that_lacks_something(lack: dict[str, Any], name: str, remedy: str) -> None:
    by_name = {check.name: check for check in doctor.isolation_checks({**FULL, **lack})}
    assert by_name[name].state is WARNING
    assert remedy in (by_name[name].remedy or "")


@pytest.mark.parametrize(
    ("root", "own_users", "words"),
    [
        (True, False, "as root: nothing on this machine is closed to it"),
        (True, True, "as a user of its project: it sees other processes"),
        (False, True, "as the server's own user: it gets to the server's keys"),
    ],
)
def test_work_without_a_sandbox_is_said_to_be_whose(root: bool, own_users: bool, words: str) -> None:
    found = {**FULL, "is_root": root, "bubblewrap_works": False, "bubblewrap": None, "level": "reduced"}
    sandbox = doctor.isolation_checks(found, own_users=own_users)[0]
    assert words in sandbox.message


def test_isolation_in_full() -> None:
    checks = doctor.isolation_checks(FULL)
    assert [check.state for check in checks] == [OK, OK, OK]


def test_the_launchers_finding_has_what_the_checks_read() -> None:
    assert set(FULL) <= set(detect().to_json())


def test_a_port_that_is_taken_names_another(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = home.bind(Settings(settings.home), 0, "test")
    taken = holder.getsockname()[1]
    checks = doctor.check_ports(Settings(settings.home, port=taken, content_port=0, inference_port=0))
    holder.close()
    [check] = checks
    assert (check.name, check.state) == ("ports", WARNING)
    assert str(taken) in check.message
    assert "nacre up --port" in (check.remedy or "")


def test_a_server_that_runs_has_its_ports_and_may_be_too_public(settings: Settings) -> None:
    home.prepare(settings)
    home.describe(settings, "0")
    assert [check.name for check in doctor.check_ports(settings)] == ["ports"]
    public = Settings(settings.home, host="0.0.0.0")
    [ports, network] = doctor.check_ports(public)
    assert (ports.state, network.state, network.name) == (OK, WARNING, "network")
    assert "TLS" in (network.remedy or "")


def test_gpus_whose_driver_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert doctor.check_gpus(tmp_path) == Check(name="gpus", state=OK, message="none")
    (tmp_path / "nvidia0").touch()
    assert doctor.check_gpus(tmp_path).state is WARNING


def test_prices_with_which_no_server_would_start(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    assert doctor.check_prices(file) == []
    Prices(file)  # writes the defaults
    assert [check.state for check in doctor.check_prices(file)] == [OK]
    file.write_text("currency = ")
    [check] = doctor.check_prices(file)
    assert (check.name, check.state) == ("prices", PROBLEM)
    assert str(file) in (check.remedy or "")


def test_the_command_prints_a_diagnosis(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nacre.server.doctor"],
        env={**os.environ, "NACRE_HOME": str(tmp_path), "NACRE_PORT": "18090"},
        capture_output=True,
        check=False,
    )
    found = Diagnosis.model_validate(json.loads(done.stdout))
    assert done.returncode == (1 if found.state is PROBLEM else 0)
    names = {"python", "machine", "gpus", "disk", "uv", "sandbox", "limits", "syscalls", "ports"}
    assert {check.name for check in found.checks} == names
