"""The import hook: lets the normal finders load a watched module, then has it patched.

It costs one look into a dict for every module that is imported, and imports nothing itself until a watched
module was. Only ``os`` and ``sys`` are used: this is loaded at the start of every Python process of a job.
"""

import os
import sys

TYPE_CHECKING = False  # importing ``typing`` would cost more than all the rest
if TYPE_CHECKING:
    from typing import Any


class _Loader:
    """The module's own loader, and the patch after it. Everything else is the own loader's."""

    def __init__(self, loader: "Any", name: "str", finder: "Finder") -> None:
        self._nacre = (loader, name, finder)

    def __getattr__(self, name: "str") -> "Any":
        if name == "_nacre":  # while it is being copied
            raise AttributeError(name)
        return getattr(self._nacre[0], name)

    def create_module(self, spec: "Any") -> "Any":
        """As the own loader does."""
        return self._nacre[0].create_module(spec)

    def exec_module(self, module: "Any") -> None:
        """Run the module, which sees its own loader; then patch it, unless it raised."""
        loader, name, finder = self._nacre
        spec = getattr(module, "__spec__", None)
        if spec is not None and spec.loader is self:
            spec.loader = loader
        try:
            if module.__loader__ is self:
                module.__loader__ = loader
        except AttributeError:
            pass  # a frozen or lazy module may lack it
        loader.exec_module(module)
        finder.loaded(name, module)


class Finder:
    """A finder before all others, for a few names. ``started_in``: the program's first folder.

    Args:
        watched: full name of a module → what patches it: the full name of a module whose ``patch`` is
            called with the loaded module, after every time that it is loaded (reloads too).
    """

    def __init__(self, watched: "dict[str, str]") -> None:
        self.watched = dict(watched)
        try:
            self.started_in = os.getcwd()
        except OSError:  # a folder that was removed
            self.started_in = ""
        self._busy = set()  # type: set[str]

    def find_spec(self, name: "str", path: "Any" = None, target: "Any" = None) -> "Any":
        """None for what is not watched; else what the other finders say, with the patch behind it."""
        if name not in self.watched or name in self._busy:
            return None
        self._busy.add(name)  # other hooks (MLflow's) ask all finders again, also this one
        try:
            spec = self._ask_others(name, path, target)
        finally:
            self._busy.discard(name)
        loader = getattr(spec, "loader", None)
        if hasattr(loader, "exec_module") and hasattr(loader, "create_module"):
            spec.loader = _Loader(loader, name, self)
        return spec

    def _ask_others(self, name: "str", path: "Any", target: "Any") -> "Any":
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = None if find is None else find(name, path, target)
            if spec is not None:
                return spec
        return None

    def loaded(self, name: "str", module: "Any") -> None:
        """Patch a module; a patch that fails is switched off, with one line."""
        patcher = self.watched.get(name)
        if patcher is None:
            return
        try:
            __import__(patcher)
            sys.modules[patcher].patch(module)
        except Exception as error:
            self.watched = {key: value for key, value in self.watched.items() if value != patcher}
            framework = patcher.rpartition(".")[2]
            line = f"[nacre] capture of {framework} is off: {type(error).__name__}: {error}"
            try:  # noqa: SIM105 - contextlib is not imported for this
                print(" ".join(line.split()), file=sys.stderr)  # noqa: T201
            except Exception:  # noqa: S110 - no stderr, no line
                pass


def install(watched: "dict[str, str]") -> "Finder":
    """Put a finder in front; what is imported already is patched now."""
    finder = Finder(watched)
    sys.meta_path.insert(0, finder)
    for name in watched:
        if name in sys.modules:
            finder.loaded(name, sys.modules[name])
    return finder
