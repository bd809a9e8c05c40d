"""The import hook: patches a watched module each time it is loaded, and is nobody's problem otherwise."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.launcher.capture.hook import Finder, install


class Patched(types.ModuleType):
    """A module with a ``patch`` that notes what it got."""

    def __init__(self) -> None:
        super().__init__("patcher")
        self.got: list[types.ModuleType] = []

    def patch(self, module: types.ModuleType) -> None:
        self.got.append(module)
        module.patched = True  # type: ignore[attr-defined]


@pytest.fixture
def patcher(monkeypatch: pytest.MonkeyPatch) -> Patched:
    module = Patched()
    monkeypatch.setitem(sys.modules, "patcher", module)
    return module


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """On the path: a package ``fw`` whose module ``fw.core`` is what frameworks hide deep inside."""
    (tmp_path / "fw").mkdir()
    (tmp_path / "fw" / "__init__.py").write_text("from fw.core import Thing\n")
    (tmp_path / "fw" / "core.py").write_text(
        "class Thing: pass\nown = (__loader__, __spec__.loader, __file__)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    finders = list(sys.meta_path)
    yield tmp_path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_watched_module_is_patched_before_its_importer_goes_on(folder: Path, patcher: Patched) -> None:
    (folder / "fw" / "__init__.py").write_text("import fw.core\nseen = fw.core.patched\n")
    install({"fw.core": "patcher"})
    assert importlib.import_module("fw").seen is True
    assert [m.__name__ for m in patcher.got] == ["fw.core"]


def test_a_module_sees_its_own_loader(folder: Path, patcher: Patched) -> None:
    install({"fw.core": "patcher"})
    core = importlib.import_module("fw.core")
    loaders = {type(core.own[0]), type(core.own[1]), type(core.__loader__), type(core.__spec__.loader)}
    assert {kind.__name__ for kind in loaders} == {"SourceFileLoader"}
    assert core.__file__ == str(folder / "fw" / "core.py")
    assert core.__spec__.loader.get_source("fw.core").startswith("class Thing")


def test_what_is_imported_already_is_patched_at_once(folder: Path, patcher: Patched) -> None:
    core = importlib.import_module("fw.core")
    install({"fw.core": "patcher"})
    assert patcher.got == [core]


def test_a_reload_and_a_second_import_are_patched_again(folder: Path, patcher: Patched) -> None:
    install({"fw.core": "patcher"})
    core = importlib.import_module("fw.core")
    importlib.reload(core)
    del sys.modules["fw.core"]
    importlib.import_module("fw.core")
    assert len(patcher.got) == 3


def test_a_lazy_module_is_patched_when_it_is_really_loaded(folder: Path, patcher: Patched) -> None:
    install({"fw.core": "patcher"})
    (folder / "fw" / "__init__.py").write_text("")
    importlib.import_module("fw")
    spec = importlib.util.find_spec("fw.core")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fw.core"] = module
    spec.loader.exec_module(module)
    assert patcher.got == []
    assert module.Thing.__name__ == "Thing"
    assert len(patcher.got) == 1


def test_a_namespace_package_of_a_watched_name_is_left_alone(folder: Path, patcher: Patched) -> None:
    (folder / "space").mkdir()
    (folder / "space" / "inner.py").write_text("x = 1\n")
    install({"space": "patcher", "absent": "patcher"})
    assert importlib.import_module("space.inner").x == 1
    with pytest.raises(ModuleNotFoundError, match="No module named 'absent'"):
        importlib.import_module("absent")


def test_an_exception_of_the_module_is_the_programs(folder: Path, patcher: Patched) -> None:
    (folder / "fw" / "core.py").write_text("raise OSError('no GPU')\n")
    install({"fw.core": "patcher"})
    with pytest.raises(OSError, match="no GPU"):
        importlib.import_module("fw")
    assert patcher.got == []


def test_another_hook_that_asks_all_finders_again_goes_along(folder: Path, patcher: Patched) -> None:
    """MLflow's does, as wrapt's, from which many are copied."""
    busy: set[str] = set()
    after: list[str] = []

    class Asks:
        def find_spec(self, name: str, path: object = None, target: object = None) -> object:
            if name != "fw.core" or name in busy:
                return None
            busy.add(name)
            try:
                spec = importlib.util.find_spec(name)
            finally:
                busy.discard(name)
            assert spec is not None
            spec.loader = Chained(spec.loader)
            return spec

    class Chained:
        def __init__(self, loader: object) -> None:
            self.loader = loader

        def create_module(self, spec: object) -> object:
            return self.loader.create_module(spec)  # type: ignore[attr-defined]

        def exec_module(self, module: types.ModuleType) -> None:
            self.loader.exec_module(module)  # type: ignore[attr-defined]
            after.append(module.__name__)

    for order in (0, 1):
        finder = install({"fw.core": "patcher"})
        sys.meta_path.insert(order, Asks())  # type: ignore[arg-type]
        importlib.import_module("fw.core")
        assert after == ["fw.core"]
        assert len(patcher.got) == 1
        sys.meta_path[:] = [f for f in sys.meta_path if f is not finder and not isinstance(f, Asks)]
        del sys.modules["fw.core"], sys.modules["fw"], patcher.got[:], after[:]


def test_a_patch_that_fails_is_one_line_and_never_tried_again(
    folder: Path, patcher: Patched, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(module: types.ModuleType) -> None:
        patcher.got.append(module)
        raise AttributeError("no CallbackList\nhere")

    patcher.patch = broken  # type: ignore[method-assign]
    (folder / "fw" / "other.py").write_text("")
    install({"fw.core": "patcher", "fw.other": "patcher"})
    assert importlib.import_module("fw").Thing.__name__ == "Thing"
    importlib.import_module("fw.other")
    assert len(patcher.got) == 1
    assert capsys.readouterr().err == (
        "[nacre] capture of patcher is off: AttributeError: no CallbackList here\n"
    )


def test_threads_that_import_together_get_one_patched_module(folder: Path, patcher: Patched) -> None:
    install({"fw.core": "patcher"})
    seen: list[bool] = []
    threads = [
        threading.Thread(target=lambda: seen.append(importlib.import_module("fw").core.patched))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == [True] * 8
    assert len(patcher.got) == 1


def test_names_that_are_not_watched_are_one_look(patcher: Patched) -> None:
    asked: list[str] = []

    class Watched(dict[str, str]):
        def __contains__(self, name: object) -> bool:
            asked.append(str(name))
            return super().__contains__(name)

    finder = Finder({})
    finder.watched = Watched()
    assert finder.find_spec("numpy") is None
    assert asked == ["numpy"]
