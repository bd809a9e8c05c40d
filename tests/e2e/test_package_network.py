"""Projects whose work reaches package indexes and nothing else: a real index, or its absence said."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from real_server import MakeServer, Server, wait_until

from nacre.schema.jobs import Job, JobState
from nacre.sdk.client import Client
from nacre.sdk.notebook import run_cell

pytestmark = [pytest.mark.timeout(300), pytest.mark.sandbox]

PACKAGE, VERSION = "iniconfig", "2.0.0"
"""Small, pure Python, and in no environment of ours."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """pip of this machine can fetch the package: as a server here, and so its work, should."""
    folder = tmp_path_factory.mktemp("wheels")
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--no-cache-dir"]
    argv += ["--retries", "1", "--timeout", "20", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        pytest.skip(f"no package index can be reached from here: {done.stderr.strip().splitlines()[-1:]}")


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Server:
    found = make_module_server()
    found.run("project", "create", "lab")
    found.run("project", "update", "lab", "--network", "packages")
    return found


@pytest.fixture
def lab(server: Server) -> Client:
    return server.client(project="lab")


def run(
    server: Server, client: Client, *commands: str, files: dict[str, str] | None = None
) -> tuple[Job, str]:
    """Run these to their end; the job and its log."""
    resources = {"cpu": 1, "memory": "1GB", "shm_size": "16MB"}
    job = server.submit(
        files or {"main.py": ""}, client=client, commands=list(commands), resources=resources
    )
    job = server.wait(job, client=client, timeout_s=200)
    return job, server.log(job, client=client).decode()


SAYS = f"import {PACKAGE}; print({PACKAGE}.__name__, 'from', {PACKAGE}.__file__)"


@pytest.mark.parametrize("pip", ["pip", "python -m pip", "uv pip"])
def test_a_job_installs_a_package_and_its_next_command_imports_it(
    server: Server, lab: Client, index: None, pip: str
) -> None:
    script = f"set -e\n{pip} install {PACKAGE}=={VERSION}\npython main.py\n"
    job, log = run(server, lab, "sh install.sh", files={"install.sh": script, "main.py": SAYS})
    assert job.state is JobState.SUCCEEDED, log
    assert re.search(rf"^{PACKAGE} from \S*/\.nacre-venv/lib/\S+$", log, re.MULTILINE), log
    assert job.attempts[0].isolation is not None
    assert job.attempts[0].isolation["network"] == "packages"
    server.assert_gone(job)


REACH = r"""
import http.client, json, os, socket, ssl, urllib.request
port, home = int(os.environ["SERVER_PORT"]), os.environ["SERVER_HOME"]
def tunnel(where):
    raw = socket.create_connection(("127.0.0.1", 7376), 10)
    raw.sendall(f"CONNECT {where} HTTP/1.1\r\n\r\n".encode())
    return raw.makefile("rb").readline().decode().strip()
def direct(address):
    try:
        socket.create_connection(address, 5).close()
    except OSError as error:
        return type(error).__name__
    return "reached"
def page(url):
    try:
        return urllib.request.urlopen(url, timeout=10).status
    except Exception as error:
        return f"{type(error).__name__} {error}"
print(json.dumps({
    "tunnels": [tunnel(one) for one in (
        "example.org:443", "pypi.org:22", f"127.0.0.1:{port}", f"localhost:{port}", "169.254.169.254:443")],
    "pages": [page(one) for one in (
        "https://example.org/", f"http://localhost.:{port}/", "http://169.254.169.254/")],
    "direct": [direct(one) for one in (("127.0.0.1", port), ("1.1.1.1", 443), ("169.254.169.254", 80))],
    "names": direct(("pypi.org", 443)),
    "api": page("http://127.0.0.1:7373/api/v1/me"),
    "files": [os.path.exists(one) for one in (
        home + "/nacre.db", home + "/run/packages", "/etc/resolv.conf")],
}))
"""


def test_it_reaches_no_other_host_and_nothing_of_the_server(server: Server, lab: Client) -> None:
    variables = {"SERVER_PORT": str(server.port), "SERVER_HOME": str(server.home)}
    job = server.wait(server.submit({"main.py": REACH}, client=lab, env=variables), client=lab)
    log = server.log(job, client=lab).decode()
    assert job.state is JobState.SUCCEEDED, log
    found = json.loads(log)
    assert [one.split()[1] for one in found["tunnels"]] == ["403"] * 5
    assert "NACRE_PACKAGE_HOSTS" in found["tunnels"][0]
    assert "403" in found["pages"][0]
    assert all("403" in str(one) for one in found["pages"]), found["pages"]
    assert "reached" not in [*found["direct"], found["names"]]
    assert "401" in found["api"], "the API is there, and asks who comes"
    assert found["files"] == [False, False, False]


def test_a_job_that_wants_more_is_told_who_can_allow_it(server: Server, lab: Client) -> None:
    script = "import urllib.request\nurllib.request.urlopen('https://example.org/')\n"
    job, log = run(server, lab, "python main.py", files={"main.py": script})
    assert job.state is JobState.FAILED, log
    assert "example.org is not among the package hosts of this server" in log
    assert "'nacre project update lab --network full'" in (job.message or "")


CLOSED = r"""
import os, socket
with socket.socket() as raw:
    print(raw.connect_ex(("127.0.0.1", 7376)), [one for one in os.environ if "proxy" in one.lower()])
"""


def test_none_reaches_no_proxy_and_an_owner_switches_it(server: Server, index: None) -> None:
    server.run("project", "create", "shut")
    shut = server.client(project="shut")
    job, log = run(server, shut, "python main.py", files={"main.py": CLOSED})
    assert (job.state, log) == (JobState.SUCCEEDED, "111 []\n")

    said = json.loads(server.run("-o", "json", "project", "update", "shut", "--network", "packages").stdout)
    assert said["network"] == "packages"
    job, log = run(server, shut, f"pip install -q {PACKAGE}=={VERSION}", f"python -c 'import {PACKAGE}'")
    assert job.state is JobState.SUCCEEDED, log

    server.run("project", "update", "shut", "--network", "none")
    job, log = run(server, shut, "python main.py", files={"main.py": CLOSED})
    assert (job.state, log) == (JobState.SUCCEEDED, "111 []\n")


def test_an_instance_installs_in_its_terminal_and_its_kernel_has_it(
    server: Server, lab: Client, index: None
) -> None:
    lab.instances.create("desk", environment="base")
    try:
        assert lab.instances.wait("desk", timeout_s=200).state == "running"
        with lab.instances.terminal("desk") as terminal:
            terminal.send(f"pip install -q {PACKAGE}=={VERSION} && echo instal''led; exit\r".encode())
            said = b"".join(terminal)
        assert b"installed" in said, said
        assert f"{PACKAGE} from " in run_cell(lab, "desk", SAYS)
        assert "Successfully installed toolz-1.0.0" in run_cell(lab, "desk", "%pip install toolz==1.0.0")
        assert run_cell(lab, "desk", "import toolz; print(toolz.__version__)") == "1.0.0\n"
        lab.instances.stop("desk")
        wait_until("it has stopped", lambda: lab.instances.get("desk").state == "stopped")
        lab.instances.start("desk")
        assert lab.instances.wait("desk", timeout_s=200).state == "running"
        assert run_cell(lab, "desk", "import toolz; print(toolz.__version__)") == "1.0.0\n"
    finally:
        lab.instances.stop("desk")
