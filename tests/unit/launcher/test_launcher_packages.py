"""Work with the network ``packages``: what it reaches, and what it installs on top of its environment."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from launcher_api import FakeApi
from launcher_host import NOBODY, SYSTEM_PYTHON, Host
from uv import find_uv_bin

from nacre.launcher.variables import PACKAGES_PORT
from nacre.server.site import make_site


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """A wheel with one module, which has ``VERSION``."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": metadata + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{info}/RECORD,,"]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{path},sha256={digest},{len(text)}")
        archive.writestr(f"{info}/RECORD", "\n".join(rows) + "\n")


class Built:
    """An environment with ``below`` 1.0 in it, as uv makes them, and wheels to install from."""

    def __init__(self, root: Path, host: Host) -> None:
        python = Path(SYSTEM_PYTHON if host.as_user else sys._base_executable)  # type: ignore[attr-defined]
        self.interpreter = str(python.resolve().parents[1])
        self.folder = root / "environment"
        self.wheels = root / "wheels"
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = self.folder / "lib" / name / "site-packages"
        site.mkdir(parents=True)
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "python").symlink_to(python.resolve())
        (self.folder / "bin" / "python3").symlink_to("python")
        settings = f"home = {python.resolve().parent}\ninclude-system-site-packages = false\n"
        (self.folder / "pyvenv.cfg").write_text(settings)
        tool = self.folder / "bin" / "tool"
        tool.write_text(
            "#!/bin/sh\n"
            "'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n"
            "import below, sys\nprint('tool', below.VERSION, sys.prefix)\n"
        )
        tool.chmod(0o755)
        self.wheels.mkdir()
        wheel(self.wheels, "below", "1.0")
        with zipfile.ZipFile(self.wheels / "below-1.0-py3-none-any.whl") as archive:
            archive.extractall(site)
        (self.wheels / "below-1.0-py3-none-any.whl").unlink()
        wheel(self.wheels, "below", "2.0")
        wheel(self.wheels, "above", "3.0", requires="below")

    def fields(self, **more: Any) -> dict[str, Any]:
        return {
            "environment": str(self.folder),
            "interpreter": self.interpreter,
            "network": "packages",
            "packages": {
                "uv": find_uv_bin(),
                "variables": {
                    "PIP_NO_INDEX": "1",
                    "PIP_FIND_LINKS": str(self.wheels),
                    "UV_FIND_LINKS": str(self.wheels),
                },
                "shown": [str(self.wheels)],
            },
            **more,
        }


@pytest.fixture
def site(root: Path) -> Path:
    """The folder that work has on its PYTHONPATH."""
    return make_site(root / "site")


def run(host: Host, script: str, **fields: Any) -> list[str]:
    end = host.run("/bin/sh", "-ec", script, **fields)
    assert end["reason"] == "succeeded", (end, host.log())
    return host.log().splitlines()


def test_pip_installs_on_top_of_the_environment(host: Host, root: Path, site: Path) -> None:
    built = Built(root, host)
    script = """
    touch "$NACRE_ENVIRONMENT/planted" 2>/dev/null || echo read-only
    python -c 'import below; print(below.VERSION)'
    pip install -q above
    python -c 'import above, below; print(above.VERSION, below.VERSION)'
    python -m pip install -q --upgrade below
    python3 -c 'import above, below; print(above.VERSION, below.VERSION)'
    tool
    pip list --format freeze | grep -E 'above|below'
    pip uninstall -q -y below
    python -c 'import below; print(below.VERSION)'
    """
    log = run(host, script, **built.fields(nacre_site=str(site)))
    if host.mode != "none":  # root without a sandbox writes everywhere
        assert log.pop(0) == "read-only"
    assert log == [
        "1.0",
        "3.0 1.0",
        "3.0 2.0",
        f"tool 2.0 {built.folder}",
        "above==3.0",
        "below==2.0",
        "1.0",
    ]


def test_uv_installs_there_too(host: Host, root: Path, site: Path) -> None:
    if host.as_user and not os.access(find_uv_bin(), os.X_OK):
        pytest.skip("uv is closed to other users")
    built = Built(root, host)
    script = """
    uv pip install -q --no-index above
    python -c 'import above, below; print(above.VERSION, below.VERSION)'
    """
    assert run(host, script, **built.fields(nacre_site=str(site))) == ["3.0 2.0"]


def test_a_home_that_is_kept_keeps_what_was_installed(host: Host, root: Path, site: Path) -> None:
    built = Built(root, host)
    home = root / "home"
    home.mkdir()
    if host.as_user:
        os.chown(home, NOBODY, NOBODY)
    fields = built.fields(home=str(home), nacre_site=str(site))
    run(host, "pip install -q above", **fields)
    api = FakeApi()
    again = Host(root / "again", api, host.mode)
    try:
        assert run(again, "python -c 'import above; print(above.VERSION)'", **fields) == ["3.0"]
    finally:
        again.end()
        api.close()


def test_without_a_network_nothing_is_put_on_top(host: Host, root: Path) -> None:
    built = Built(root, host)
    script = 'echo "$VIRTUAL_ENV"; ls -A "$HOME"; env | grep -iE "_proxy|^pip_|^uv_" || true'
    assert run(host, script, **{**built.fields(), "network": "none"}) == [str(built.folder)]


# The way to the proxy


class Proxy:
    """Answers each request with its first line."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "proxy.sock"))
        (folder / "proxy.sock").chmod(0o666)
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    first = connection.recv(65536).split(b"\r\n")[0]
                    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(
                        first
                    )
                    connection.sendall(head + first)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def folders(root: Path) -> Iterator[dict[str, str]]:
    """Those of the API's socket and the proxy's, with somebody behind each."""
    made = [Proxy(root / "packages"), Proxy(root / "api")]
    (root / "api" / "proxy.sock").rename(root / "api" / "nacre.sock")
    yield {"api_socket_folder": str(root / "api"), "package_socket_folder": str(root / "packages")}
    for one in made:
        one.close()


ASK = f"""
import os, socket, urllib.request
def said(url):
    try:
        return urllib.request.urlopen(url, timeout=10).read().decode()
    except Exception as error:
        return type(error).__name__
print(os.environ.get("HTTPS_PROXY"), os.environ.get("https_proxy"), os.environ.get("no_proxy"))
print(said("http://index.test/simple/"))
print(said("http://127.0.0.1:7373/status"))
with socket.socket() as raw:
    print(raw.connect_ex(("127.0.0.1", {PACKAGES_PORT})))
print([os.path.exists(path) for path in ("/etc/resolv.conf", os.environ["FOLDER"])])
"""


def test_packages_leads_to_the_proxy_and_to_the_api_and_nowhere_else(
    boxed: Host, root: Path, folders: dict[str, str]
) -> None:
    variables = {"FOLDER": folders["package_socket_folder"]}
    boxed.run(SYSTEM_PYTHON, "-c", ASK, network="packages", variables=variables, **folders)
    address = f"http://127.0.0.1:{PACKAGES_PORT}"
    assert boxed.log().splitlines() == [
        f"{address} {address} 127.0.0.1,localhost",
        "GET http://index.test/simple/ HTTP/1.1",
        "GET /status HTTP/1.1",
        "0",
        "[False, False]",
    ]


def test_none_does_not_lead_to_the_proxy(boxed: Host, root: Path, folders: dict[str, str]) -> None:
    variables = {"FOLDER": folders["package_socket_folder"]}
    boxed.run(SYSTEM_PYTHON, "-c", ASK, network="none", variables=variables, **folders)
    assert boxed.log().splitlines() == [
        "None None None",
        "URLError",
        "GET /status HTTP/1.1",
        "111",
        "[False, False]",
    ]
