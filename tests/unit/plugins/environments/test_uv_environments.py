"""uv as the builder: real packages, real processes, kills."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from nacre.domain.requirements import pins
from nacre.errors import InvalidSpec, PluginError
from nacre.plugins.environments.uv import UvEnvironments
from nacre.ports.environments import Lock, Source

OTHERS = 65534


def wheel(folder: Path, name: str, version: str, *, modules: int = 1) -> Path:
    """A real, tiny wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {f"{name}/m{i}.py": f"N = {i}\n" for i in range(modules)}
    files |= {
        f"{name}/__init__.py": f"__version__ = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(file, text)
    return path


@pytest.fixture
def local(tmp_path: Path) -> dict[str, str]:
    """Variables under which uv sees a folder of wheels and nothing else: fast, and without network."""
    wheels = tmp_path / "wheels"
    wheel(wheels, "alpha", "1.0")
    wheel(wheels, "alpha", "2.0")
    wheel(wheels, "many", "1.0", modules=400)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_INDEX": "1",
    }


@pytest.fixture
def uv(tmp_path: Path, local: dict[str, str]) -> UvEnvironments:
    return UvEnvironments(tmp_path / "environments", local)


def resolve(uv: UvEnvironments, *lines: str, python: str | None = None) -> Lock:
    return uv.resolve(Source(requirements="\n".join(lines), python=python), lambda _: None)


def quiet(_: str) -> None:
    pass


def run(built_folder: str, code: str) -> str:
    return subprocess.run(
        [f"{built_folder}/bin/python", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_an_environment_has_what_was_asked_for(uv: UvEnvironments) -> None:
    built = uv.build(resolve(uv, "alpha<2"), quiet)
    assert run(built.folder, "import alpha; print(alpha.__version__)") == "1.0"
    assert Path(built.interpreter) == Path(sys.base_prefix).resolve()


def test_each_line_of_progress_is_logged(uv: UvEnvironments) -> None:
    lines: list[str] = []
    uv.build(resolve(uv, "alpha"), lines.append)
    assert " + alpha==2.0" in lines


def test_a_conflict_is_explained_in_the_resolvers_words(uv: UvEnvironments) -> None:
    with pytest.raises(InvalidSpec) as caught:
        resolve(uv, "alpha==3.0")
    assert "Because" in caught.value.detail
    assert "alpha==3.0" in caught.value.detail
    assert caught.value.detail.startswith("the requirements cannot be met: ")
    assert "error:" not in caught.value.detail


def test_a_requirement_that_is_no_requirement_is_explained(uv: UvEnvironments) -> None:
    with pytest.raises(InvalidSpec, match="alpha =="):
        resolve(uv, "alpha ==")


def test_an_index_that_does_not_answer_is_not_the_requests_fault(
    tmp_path: Path, local: dict[str, str]
) -> None:
    away = {k: v for k, v in local.items() if not k.startswith("PIP_")}
    away |= {"UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple", "UV_HTTP_RETRIES": "0"}
    with pytest.raises(PluginError, match="could not be reached"):
        resolve(UvEnvironments(tmp_path / "environments", away), "alpha")


def test_the_servers_variables_stay_with_the_server(tmp_path: Path, local: dict[str, str]) -> None:
    uv = UvEnvironments(tmp_path / "environments", local | {"SECRET": "s3cret"})
    with pytest.raises(InvalidSpec):
        resolve(uv, "alpha", "--index-url https://example.org/${SECRET}")
    assert "SECRET" not in uv._variables


def test_a_hash_that_does_not_match_is_refused(uv: UvEnvironments) -> None:
    lock = resolve(uv, "alpha")
    spoilt = uv.resolve(Source(lock=f"alpha==2.0 --hash=sha256:{'0' * 64}"), quiet)
    assert spoilt.digest != lock.digest
    with pytest.raises(InvalidSpec, match=r"(?i)hash"):
        uv.build(spoilt, quiet)
    assert uv.find(spoilt.digest) is None


def test_a_lock_without_hashes_is_refused(uv: UvEnvironments) -> None:
    with pytest.raises(InvalidSpec, match="no hash"):
        uv.resolve(Source(lock="alpha==2.0\n"), quiet)


def test_a_lock_builds_what_it_pins(uv: UvEnvironments, tmp_path: Path) -> None:
    digest = hashlib.sha256((tmp_path / "wheels" / "alpha-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    built = uv.build(uv.resolve(Source(lock=f"alpha==1.0 \\\n  --hash=sha256:{digest}\n"), quiet), quiet)
    assert run(built.folder, "import alpha; print(alpha.__version__)") == "1.0"


def test_a_pylock_builds_what_it_pins(uv: UvEnvironments, tmp_path: Path) -> None:
    path = tmp_path / "wheels" / "alpha-1.0-py3-none-any.whl"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    text = f"""
        lock-version = "1.0"
        [[packages]]
        name = "alpha"
        version = "1.0"
        wheels = [{{ url = "https://example.org/{path.name}", hashes = {{ sha256 = "{digest}" }} }}]
        """
    lock = uv.resolve(Source(lock=textwrap.dedent(text)), quiet)
    assert pins(lock.text) == {"alpha": "1.0"}
    assert run(uv.build(lock, quiet).folder, "import alpha; print(alpha.__version__)") == "1.0"


def test_a_uv_lock_is_read_for_this_platform(uv: UvEnvironments) -> None:
    text = f"""
        version = 1
        revision = 3
        requires-python = ">=3.11"
        [[package]]
        name = "demo"
        version = "1"
        source = {{ virtual = "." }}
        dependencies = [{{ name = "alpha" }}]
        [[package]]
        name = "alpha"
        version = "1.0"
        source = {{ registry = "https://example.org/simple" }}
        wheels = [
            {{ url = "https://example.org/alpha-1.0-py3-none-any.whl", hash = "sha256:{"a" * 64}" }},
        ]
        """
    lock = uv.resolve(Source(lock=textwrap.dedent(text)), quiet)
    assert pins(lock.text) == {"alpha": "1.0"}
    assert f"sha256:{'a' * 64}" in lock.text


def test_a_pyproject_gives_its_dependencies(uv: UvEnvironments) -> None:
    text = '[project]\nname = "x"\nversion = "1"\ndependencies = ["alpha>=1"]\n'
    assert pins(uv.resolve(Source(pyproject=text), quiet).text) == {"alpha": "2.0"}


def test_another_python_has_another_digest(uv: UvEnvironments) -> None:
    lock = resolve(uv, "alpha")
    other = uv._lock(lock.text, type(uv._python(None, quiet))("3.99", "/x", "/x"))
    assert other.digest != lock.digest


def test_a_python_that_is_not_there_is_named(tmp_path: Path, local: dict[str, str]) -> None:
    uv = UvEnvironments(tmp_path / "environments", local | {"UV_PYTHON_DOWNLOADS": "never"})
    with pytest.raises(InvalidSpec, match=r"no Python 3\.99"):
        resolve(uv, "alpha", python="3.99")


def test_everybody_may_read_and_only_the_owner_write(uv: UvEnvironments, tmp_path: Path) -> None:
    built = uv.build(resolve(uv, "alpha"), quiet)
    for folder, folders, files in os.walk(built.folder):
        for name in (*folders, *files):
            mode = os.lstat(os.path.join(folder, name))
            if not stat.S_ISLNK(mode.st_mode):
                assert not mode.st_mode & 0o022, name
                assert mode.st_mode & 0o004, name


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_another_user_can_import_from_it(uv: UvEnvironments) -> None:
    built = uv.build(resolve(uv, "alpha"), quiet)
    closed = [p for p in Path(built.folder).parents if p != Path("/") and not p.stat().st_mode & 0o001]
    for parent in closed:  # pytest's own temporary folders
        parent.chmod(parent.stat().st_mode | 0o055)
    site = next(Path(built.folder).glob("lib/python3*/site-packages"))
    demote = ["setpriv", f"--reuid={OTHERS}", f"--regid={OTHERS}", "--clear-groups"]
    text = subprocess.run(
        [*demote, "cat", site / "alpha" / "__init__.py"], capture_output=True, text=True, check=True
    ).stdout
    assert "2.0" in text
    assert subprocess.run([*demote, "touch", site / "x"], capture_output=True, check=False).returncode != 0


def test_modules_are_compiled_once_for_all_environments(uv: UvEnvironments) -> None:
    first, second = uv.build(resolve(uv, "many"), quiet), uv.build(resolve(uv, "many", "alpha"), quiet)
    compiled = [next(Path(b.folder).rglob("many/__pycache__/m0.*.pyc")) for b in (first, second)]
    assert compiled[0].samefile(compiled[1])
    assert run(second.folder, "import many.m7 as m; print(m.__cached__ and m.N)") == "7"
    assert run(second.folder, "import many; print(many.__file__)").startswith(second.folder)


def test_one_whose_python_is_gone_is_built_again(uv: UvEnvironments) -> None:
    lock = resolve(uv, "alpha")
    built = uv.build(lock, quiet)
    program = Path(built.folder, "bin", "python")
    program.unlink()
    program.symlink_to("/gone/python3")
    assert uv.find(lock.digest) is None
    assert run(uv.build(lock, quiet).folder, "import alpha; print(1)") == "1"


_BUILDER = """
import os, signal, sys
from pathlib import Path
from nacre.plugins.environments.uv import UvEnvironments
from nacre.ports.environments import Lock
root, text, digest = sys.argv[1:4]
if "STOP=last" in sys.argv:
    os.sync = signal.pause
uv = UvEnvironments(Path(root), dict(a.split("=", 1) for a in sys.argv[4:]))
print(uv.build(Lock(text, "{python}", digest), lambda line: print(line, flush=True)).seconds)
"""


def builder(uv: UvEnvironments, lock: Lock, variables: dict[str, str]) -> subprocess.Popen[str]:
    """Another process that builds the lock."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            _BUILDER.replace("{python}", lock.python),
            str(uv.root),
            lock.text,
            lock.digest,
        ]
        + [f"{k}={v}" for k, v in variables.items()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        start_new_session=True,
    )


def test_processes_that_need_the_same_one_build_it_once(uv: UvEnvironments, local: dict[str, str]) -> None:
    lock = resolve(uv, "many")
    builders = [builder(uv, lock, local) for _ in range(3)]
    said = [process.communicate(timeout=120)[0] for process in builders]
    assert [process.returncode for process in builders] == [0, 0, 0], said
    assert sum("Installed 1 package" in text for text in said) == 1
    assert len({text.splitlines()[-1] for text in said}) == 1


def killed(uv: UvEnvironments, lock: Lock, variables: dict[str, str], mark: str) -> bool:
    """Kill a builder when a file ``mark`` is there; whether it was still at it."""
    process = builder(uv, lock, variables)
    deadline = time.monotonic() + 60
    while not list((uv.root / ".building").glob(f"{lock.digest}-*/{mark}")) and process.poll() is None:
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("mark", "stop"),
    [("pyvenv.cfg", "no"), ("lib/*/site-packages/many", "no"), (".nacre.json", "last")],
    ids=["made", "half filled", "not yet renamed"],
)
def test_a_builder_that_is_killed_leaves_nothing_half_built(
    uv: UvEnvironments, local: dict[str, str], mark: str, stop: str
) -> None:
    lock = resolve(uv, "many")
    for _ in range(20):  # a fast builder may be done before the kill
        if killed(uv, lock, local | {"STOP": stop}, mark) and uv.find(lock.digest) is None:
            break
        uv.delete(lock.digest)
    else:
        pytest.fail("the builder was never killed in time")
    built = uv.build(lock, quiet)
    assert run(built.folder, "import many.m399; print(many.m399.N)") == "399"
    assert list((uv.root / ".building").iterdir()) == []


def test_what_another_run_of_the_server_built_is_found(
    uv: UvEnvironments, local: dict[str, str], tmp_path: Path
) -> None:
    built = uv.build(resolve(uv, "alpha"), quiet)
    assert UvEnvironments(tmp_path / "environments", local).find(built.digest) == built


def test_a_local_torch_that_fits_is_preferred_to_the_indexs(
    uv: UvEnvironments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uv, "_gpu", False)
    made = wheel(tmp_path / "wheels", "torch", "1.5+cpu")
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    made.rename(made.with_name(f"torch-1.5+cpu-{tag}-{tag}-manylinux_2_28_{os.uname().machine}.whl"))
    wheel(tmp_path / "wheels", "torch", "1.6")
    assert pins(resolve(uv, "torch").text) == {"torch": "1.5+cpu"}
    assert pins(resolve(uv, "torch==1.5").text) == {"torch": "1.5+cpu"}


def test_a_torchvision_of_another_build_is_warned_of(
    uv: UvEnvironments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uv, "_gpu", False)
    made = wheel(tmp_path / "wheels", "torch", "1.5+cpu")
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    made.rename(made.with_name(f"torch-1.5+cpu-{tag}-{tag}-manylinux_2_28_{os.uname().machine}.whl"))
    wheel(tmp_path / "wheels", "torchvision", "0.9")
    lines: list[str] = []
    uv.resolve(Source(requirements="torch\ntorchvision"), lines.append)
    assert any(line.startswith("warning: torchvision 0.9 may not import") for line in lines)
