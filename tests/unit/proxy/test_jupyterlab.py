"""A real JupyterLab behind the real proxy: cells, a terminal, and what the loop sees of them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from tests.conftest import People
from tests.unit.proxy.content_stage import serving, until
from tests.unit.services.instance_house import CONTENT, House
from websockets.sync.client import connect

from nacre.clock import SystemClock
from nacre.control import jupyter
from nacre.db.connect import Database
from nacre.errors import RequestError, Unavailable
from nacre.plugins.environments.uv import UvEnvironments
from nacre.ports.engines import NodeFacts
from nacre.proxy.content import make_content_app
from nacre.schema.instances import InstanceState
from nacre.sdk.client import Client
from nacre.sdk.notebook import Notebook, run_cell
from nacre.services.registry import Services

pytestmark = pytest.mark.slow


class Lab:
    """An instance whose JupyterLab runs as a plain process, as the launch says, and the listener."""

    def __init__(self, house: House, origin: str, token: str) -> None:
        self.house, self.origin, self.token = house, origin, token
        self.instance = house.get()
        instances = SimpleNamespace(get=lambda name, project=None: house.get(name))
        server = SimpleNamespace(info=lambda: SimpleNamespace(content_url=origin))
        transport = SimpleNamespace(token=token)
        self.client = cast(Client, SimpleNamespace(instances=instances, server=server, transport=transport))

    def get(self, path: str) -> Any:
        url = f"{self.origin}/instances/{self.instance.id}/{path}"
        return httpx.get(url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30)


def _environment(house: House, folder: Path) -> dict[str, str]:
    """What the launcher would set."""
    spec = house.spec()
    for name in ("secrets", "io", "inputs"):
        (folder / name).mkdir()
    for name, content in spec.secret_files.items():
        (folder / "secrets" / name).write_text(content)
    assert spec.home is not None
    Path(spec.home).mkdir()
    return {
        "HOME": spec.home,
        "PATH": f"{spec.environment}/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "NACRE_SECRETS_DIR": str(folder / "secrets"),
        "NACRE_TRACK_FILE": str(folder / "io" / "track.jsonl"),
        "NACRE_INPUT_DIR": str(folder / "inputs"),
        **spec.variables,
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def lab(database: Database, people: People, tmp_path: Path, built: Path) -> Iterator[Lab]:
    clock = SystemClock()
    house = House(database, cast(Any, clock), people, tmp_path)
    house.builder = cast(Any, UvEnvironments(built))
    house.engine.machines = [NodeFacts("local", 4.0, 8 * 2**30)]
    house.engine.folder = short = Path(tempfile.mkdtemp(prefix="nacre-", dir="/tmp"))
    house.engine.socket = lambda handle, name: str(short / "io" / name)  # type: ignore[method-assign]
    house.restart()
    house.create()
    assert house.builds.settle(240)
    house.loop.run_once()
    variables = _environment(house, short)
    with (tmp_path / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            house.spec().command, env=variables, stdout=log, stderr=log, start_new_session=True
        )
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        until(lambda: house.loop.run_once() or house.get().state is InstanceState.RUNNING, 60)
        with house.db.write() as session:
            token, _ = house.tokens.issue(
                session, user_id=people.editor.user_id, kind="user", name="t", scopes=["*"]
            )
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        services = SimpleNamespace(
            db=house.db, tokens=house.tokens, signals=house.signals, instances=house.instances
        )
        app = make_content_app(cast(Services, services), house.instances.upstream, origin)
        with listener, serving(app, listener):
            yield Lab(house, origin, token)
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(15)
        shutil.rmtree(short)


def test_jupyterlab_behind_the_proxy(lab: Lab) -> None:
    _cells(lab)
    _one_kernel_of_the_chosen_environment(lab)
    _terminal(lab)
    _page(lab)
    _busy_kernel_is_seen(lab)


def _cells(lab: Lab) -> None:
    assert run_cell(lab.client, "lab", "1+1") == "2\n"
    with Notebook(lab.client, "lab") as notebook:
        heard: list[str] = []
        assert notebook.run("x = 20\nprint('a'); print('b')").text == "a\nb\n"
        assert notebook.run("print('c'); x + 1", on_text=heard.append).text == "c\n21\n"
        assert "".join(heard) == "c\n21\n"
        failed = notebook.run("print('before'); 1/0")
        assert failed.text == "before\n"
        assert failed.error is not None
        assert "ZeroDivisionError" in failed.error
        assert "\x1b" not in failed.error
        with pytest.raises(Unavailable, match="did not end within"):
            notebook.run("import time; time.sleep(60)", timeout_s=0.5)
        assert notebook.run("'x' * 5_000_000").text == "'" + "x" * 5_000_000 + "'\n"
    with pytest.raises(RequestError, match="ZeroDivisionError: division by zero") as caught:
        run_cell(lab.client, "lab", "print('seen'); 1/0")
    assert caught.value.extra["text"] == "seen\n"
    assert lab.get("api/kernels").json() == []


def _one_kernel_of_the_chosen_environment(lab: Lab) -> None:
    found = lab.get("api/kernelspecs").json()
    assert found["default"] == "base"
    assert list(found["kernelspecs"]) == ["base"]
    prefix = run_cell(lab.client, "lab", "import sys; print(sys.prefix)").strip()
    assert prefix == lab.house.spec().environment
    home = run_cell(lab.client, "lab", "import os; print(os.getcwd())").strip()
    assert home == lab.house.spec().home


def _terminal(lab: Lab) -> None:
    headers = {"Authorization": f"Bearer {lab.token}"}
    base = f"{lab.origin}/instances/{lab.instance.id}"
    name = httpx.post(f"{base}/api/terminals", headers=headers, timeout=30).json()["name"]
    url = f"ws{base.removeprefix('http')}/terminals/websocket/{name}"
    with connect(url, additional_headers=headers, proxy=None) as terminal:
        terminal.send(json.dumps(["stdin", "echo $BASH_VERSION:$((40 + 2))\r"]))
        heard, end = "", time.monotonic() + 20
        while ":42" not in heard:
            kind, *rest = json.loads(terminal.recv(max(0, end - time.monotonic())))
            heard += rest[0] if kind == "stdout" else ""
    assert httpx.delete(f"{base}/api/terminals/{name}", headers=headers).status_code == 204


def _page(lab: Lab) -> None:
    url = lab.house.instances.door.open(lab.house.people.editor, lab.instance.id).url
    here = url.replace(CONTENT, lab.origin)  # the house does not know the port
    with httpx.Client(follow_redirects=True, timeout=30) as browser:
        page = browser.get(here)
        assert page.status_code == 200
        assert page.url.path == f"/instances/{lab.instance.id}/lab"
        assert "<title>JupyterLab</title>" in page.text


def _busy_kernel_is_seen(lab: Lab) -> None:
    upstream = lab.house.launches.upstream(lab.instance.id)
    assert upstream is not None
    base = f"/instances/{lab.instance.id}/"
    with Notebook(lab.client, "lab") as notebook:
        at_work = threading.Thread(
            target=notebook.run, args=("import time; time.sleep(3)",), kwargs={"timeout_s": 30}
        )
        at_work.start()
        until(lambda: [k.execution_state for k in jupyter.activity(upstream, base)[0]] == ["busy"])
        at_work.join(30)
        until(lambda: [k.execution_state for k in jupyter.activity(upstream, base)[0]] == ["idle"])
