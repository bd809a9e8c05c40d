"""Where the command finds things, also on hosts whose own folders have the sandbox's usual names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nacre.launcher.folder import Folder
from nacre.launcher.spec import Spec
from nacre.launcher.variables import Places


def places(**fields: Any) -> Places:
    spec = SimpleNamespace(
        boxed=True,
        inputs=[],
        environment="/srv/nacre/environments/abc",
        interpreter="/usr/local",
        mounts=[],
        home=None,
        checkpoints="/srv/checkpoints",
        nacre_site=None,
        api_socket_folder=None,
        server="http://127.0.0.1:1",
        workdir=".",
        network="none",
    )
    spec.__dict__.update(fields)
    return Places(
        cast(Spec, spec), cast(Folder, SimpleNamespace(path=lambda *p: str(Path("/f", *p)))), {"a": "/x"}
    )


def test_the_usual_names() -> None:
    found = places()
    assert (found.work, found.output, found.inputs["a"], found.home) == (
        "/work",
        "/output",
        "/data/a",
        "/home/user",
    )


@pytest.mark.parametrize("root", ["/work/nacre", "/data/nacre", "/home/user/.nacre", "/output/x"])
def test_a_home_under_such_a_name_moves_them_aside(root: str) -> None:
    found = places(environment=f"{root}/environments/abc")
    assert (found.work, found.output, found.inputs["a"], found.home, found.checkpoints) == (
        "/nacre/work",
        "/nacre/output",
        "/nacre/data/a",
        "/nacre/home/user",
        "/nacre/checkpoints",
    )


def test_names_that_only_begin_alike_do_not() -> None:
    assert places(environment="/data2/environments/abc").work == "/work"
