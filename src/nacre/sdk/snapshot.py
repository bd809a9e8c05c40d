"""Snapshots of code folders: what git would keep, and no more than is reasonable."""

from __future__ import annotations

from pathlib import Path

from pathspec import GitIgnoreSpec

from nacre.errors import InvalidSpec, NotFound
from nacre.sdk.files import LocalFile, walk
from nacre.sdk.push import Pushed, PushProgress, push_local
from nacre.sdk.settings import nacre_home
from nacre.sdk.transport import Transport

MAX_BYTES = 100 * 10**6
MAX_FILES = 20_000
ALWAYS = frozenset({".git", ".venv", "__pycache__", ".nacre"})
_IGNORE = (".gitignore", ".nacreignore")


class _Ignored:
    """``.gitignore`` and ``.nacreignore`` of every folder from the top of the repository down.

    As in git, the deepest file that says something of a path decides; in one folder ``.nacreignore`` has
    the last word.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._home = nacre_home().resolve()
        self._specs: dict[Path, GitIgnoreSpec | None] = {}
        self._top = root
        for folder in (root, *root.parents):
            if (folder / ".git").exists():
                self._top = folder
                break

    def __call__(self, name: str, is_folder: bool) -> bool:
        path = self._root / name
        if path.name in ALWAYS or path == self._home:
            return True
        folder = path.parent
        while True:
            if spec := self._spec(folder):
                relative = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
                verdict = spec.check_file(relative).include
                if verdict is not None:
                    return bool(verdict)
            if folder in (self._top, folder.parent):
                return False
            folder = folder.parent

    def _spec(self, folder: Path) -> GitIgnoreSpec | None:
        if folder not in self._specs:
            lines: list[str] = []
            for name in _IGNORE:
                file = folder / name
                if file.is_file():
                    lines += file.read_text(encoding="utf-8", errors="replace").splitlines()
            self._specs[folder] = GitIgnoreSpec.from_lines(lines) if lines else None
        return self._specs[folder]


def snapshot_files(
    folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> list[LocalFile]:
    """The files of a code folder: without what ``.gitignore`` and ``.nacreignore`` name, ``.git``,
    ``.venv``, ``__pycache__``, ``.nacre`` and Nacre's own home, where tokens are.

    Raises:
        NotFound: there is no such folder.
        InvalidSpec: it has no files, is over a limit (the sentence names the largest files), is Nacre's
            own home, or a link in it leaves it.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise NotFound(f"there is no folder {folder}")
    if root == nacre_home().resolve():
        raise InvalidSpec(f"{root} is Nacre's own home, with your token in it: keep your code elsewhere")
    files: list[LocalFile] = []
    for file in walk(root, skip=_Ignored(root), special=True):
        files.append(file)
        if len(files) > max_files:
            raise InvalidSpec(
                f"the code folder {folder} has more than {max_files:,} files, most of them in "
                f"{_fullest(files)}: name what the job does not need in a file .nacreignore, and push data "
                "with 'nacre data push'"
            )
    size = sum(file.size for file in files)
    if size > max_bytes:
        largest = sorted(files, key=lambda file: -file.size)[:5]
        named = ", ".join(f"{file.name} ({file.size / 1e6:.1f} MB)" for file in largest)
        raise InvalidSpec(
            f"the code folder {folder} has {size / 1e6:.1f} MB and the limit is {max_bytes / 1e6:.0f} MB. "
            f"The largest files are {named}: name what the job does not need in a file .nacreignore, and "
            "push data with 'nacre data push'",
            largest=[file.name for file in largest],
        )
    if not files:
        raise InvalidSpec(f"the code folder {folder} has no files that are not ignored")
    return files


def push_snapshot(
    transport: Transport, project: str, folder: Path, *, progress: PushProgress | None = None
) -> Pushed:
    """Send a code folder and return its manifest's digest, with figures."""
    return push_local(transport, project, snapshot_files(folder), progress=progress)


def _fullest(files: list[LocalFile]) -> str:
    counts: dict[str, int] = {}
    for file in files:
        first, _, rest = file.name.partition("/")
        counts[first + "/" if rest else "the folder itself"] = (
            counts.get(first + "/" if rest else "the folder itself", 0) + 1
        )
    return max(counts, key=lambda name: counts[name])
