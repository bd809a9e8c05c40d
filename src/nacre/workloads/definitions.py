"""The classes of a training script, without training again.

A pickled model names the class that it was made from, often ``__main__.Net``. The script has that class,
but to run it would train once more where nothing guards the training. So only what defines is run: imports,
functions, classes, plain values, and those other assignments that the kept code refers to.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path


def define(script: str | None, module: str | None) -> None:
    """Give ``__main__`` what a script (a file) or a module (``pkg.train``, as for ``python -m``) defines.

    The current folder and the script's own go first on the import path, as they did when it ran.
    A definition that fails is left out: the model may not need it.
    """
    sys.path.insert(0, str(Path.cwd()))
    path = Path(script) if script else _file_of(module) if module else None
    if path is None or not path.is_file():
        return
    if script:
        sys.path.insert(0, str(path.resolve().parent))
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError):
        return
    main = sys.modules["__main__"]
    space = types.ModuleType("__main__").__dict__
    space["__file__"] = str(path)
    space["__package__"] = module.rpartition(".")[0] if module else None
    for statement in _defining(tree.body):
        try:
            exec(compile(ast.Module([statement], []), str(path), "exec"), space)  # noqa: S102
        except Exception as error:
            print(f"note: {path.name}, line {statement.lineno} is left out: {error}")
    for name, value in space.items():
        if not hasattr(main, name):
            setattr(main, name, value)


def _file_of(module: str) -> Path | None:
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found and found.origin else None


_ALWAYS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ASSIGN = (ast.Assign, ast.AnnAssign)


def _defining(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that define something, in order."""
    wanted = _names([s for s in body if isinstance(s, ast.ClassDef)])
    functions = [s for s in body if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))]
    values = [s for s in body if isinstance(s, _ASSIGN)]
    while True:  # what the classes refer to, and what that refers to
        more = _names([s for s in values if _targets(s) & wanted])
        more |= _names([s for s in functions if s.name in wanted])
        if more <= wanted:
            break
        wanted |= more
    return [s for s in body if _defines(s) or (isinstance(s, _ASSIGN) and _targets(s) & wanted)]


def _defines(statement: ast.stmt) -> bool:
    """Whether this defines something and does nothing else. Optional imports (``try``) are among it."""
    if isinstance(statement, ast.Try):
        handled = [s for handler in statement.handlers for s in handler.body]
        parts = [*statement.body, *handled, *statement.orelse, *statement.finalbody]
        return all(_defines(s) or isinstance(s, ast.Pass) for s in parts)
    return isinstance(statement, _ALWAYS) or (isinstance(statement, _ASSIGN) and _plain(statement))


def _names(statements: Sequence[ast.stmt]) -> set[str]:
    """Every name that is read somewhere in these."""
    return {
        node.id
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _targets(statement: ast.Assign | ast.AnnAssign) -> set[str]:
    parts = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return {node.id for part in parts for node in ast.walk(part) if isinstance(node, ast.Name)}


def _plain(statement: ast.Assign | ast.AnnAssign) -> bool:
    """Whether nothing is called to make the value."""
    calls = (ast.Call, ast.Await, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    return statement.value is not None and not any(isinstance(n, calls) for n in ast.walk(statement.value))
