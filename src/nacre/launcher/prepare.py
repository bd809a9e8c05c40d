"""Fills the attempt folder: code, inputs, folders, the files that the sandbox shows."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from importlib import import_module

from nacre.launcher.folder import Failure, Folder, write_file
from nacre.launcher.named import arrange
from nacre.launcher.spec import Input, Spec
from nacre.launcher.store import SEALED_NS, Entry, Store, damage

FOLDERS = ("work", "output", "io", "home", "secrets", "tmp", "inputs", "etc")
"""Folders that a launch makes below its own, and takes away at its end."""

_OWNED = ("work", "output", "io", "home", "tmp")


def prepare(spec: Spec, folder: Folder, store: Store) -> dict[str, str]:
    """Make everything that the command needs; returns where on the host each input lies.

    Starts from nothing each time, so a launcher that was killed in here can be repeated.

    Raises:
        Failure: ``data_missing`` for a blob that is absent or damaged, ``launch_failed`` otherwise.
    """
    try:
        remove(folder, [*FOLDERS, "log", "env.sh", "site"])
        if spec.checkpoints_from is not None and spec.rank == 0:
            _inherit(spec.checkpoints_from, spec.checkpoints, store)
        _make_folders(spec, folder)
        if spec.code is not None:
            work = folder.path("work")
            entries = store.manifest(spec.code, "the code")
            copy_tree(entries, work, store, "the code", spec.owner, writable=True)
        inputs = {item.name: _place(item, spec, folder, store) for item in spec.inputs}
        arrange(spec, folder, inputs)
        return inputs
    except OSError as error:
        raise Failure("launch_failed", f"The working folder could not be prepared: {error}.") from error


def _make_folders(spec: Spec, folder: Folder) -> None:
    for name in FOLDERS:
        os.mkdir(folder.path(name), 0o755 if name == "etc" else 0o700)
    for shared in filter(None, (spec.checkpoints, spec.home)):
        own_folder(shared, spec.owner)
    for name, content in spec.secret_files.items():
        if "/" in name or name in ("", ".", ".."):
            raise Failure("launch_failed", f"{name!r} cannot be the name of a secret file.")
        path = folder.path("secrets", name)
        write_file(path, content.encode("utf-8", "surrogateescape"), 0o400, spec.owner)
    log = os.open(folder.path("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.close(log)
    track = os.open(folder.path("io", "track.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    if spec.owner is not None:
        os.fchown(track, spec.owner, spec.owner)
        for name in (*_OWNED, "secrets", "inputs"):
            os.chown(folder.path(name), spec.owner, spec.owner)
        if not spec.boxed:
            os.chmod(folder.root, 0o711)  # noqa: S103 - that user goes through it, and may not look around
    os.close(track)


def _inherit(source: str, target: str | None, store: Store) -> None:
    """Copy another job's checkpoints, unless that was done before: then the job's own may be newer.

    The mark is left even where there was nothing: what that job writes later is not for this one.
    """
    if target is None or os.path.exists(mark := target + ".inherited"):
        return
    if not os.path.isdir(source):
        raise Failure("data_missing", "The checkpoints of the job to resume from are not there any more.")
    shutil = import_module("shutil")

    def copy(one: str, other: str) -> None:
        store.check()
        shutil.copy2(one, other, follow_symlinks=False)

    shutil.copytree(source, target, symlinks=True, copy_function=copy, dirs_exist_ok=True)
    with open(mark, "wb"):
        pass


def own_folder(root: str, owner: int | None) -> None:
    """A folder that outlives attempts: made when it is not there, and given to its uid."""
    os.makedirs(root, exist_ok=True)
    if owner is None or os.stat(root).st_uid == owner:
        return
    for base, _folders, files in os.walk(root):
        for name in files:
            os.lchown(os.path.join(base, name), owner, owner)
        os.lchown(base, owner, owner)


_UNFINISHED = (".tmp", ".part", ".incomplete")


def latest_checkpoint(root: str | None) -> str | None:
    """Name of the entry of a checkpoint folder that was written last; None when there is none.

    A folder is as new as the newest of what lies in it. Not counted: hidden entries, links, and what by its
    name is still being written.
    """
    found: list[tuple[int, str]] = []
    if root is None:
        return None
    with contextlib.suppress(OSError), os.scandir(root) as rows:
        for row in rows:
            if row.name.startswith(".") or row.name.endswith(_UNFINISHED) or row.is_symlink():
                continue
            with contextlib.suppress(OSError):
                found.append((_written_ns(row), row.name))
    return max(found)[1] if found else None


def _written_ns(row: os.DirEntry[str]) -> int:
    newest = row.stat(follow_symlinks=False).st_mtime_ns
    if row.is_dir(follow_symlinks=False):
        with os.scandir(row.path) as inside:
            newest = max([newest, *(one.stat(follow_symlinks=False).st_mtime_ns for one in inside)])
    return newest


def copy_tree(
    entries: list[Entry],
    root: str,
    store: Store,
    whose: str,
    owner: int | None,
    *,
    writable: bool,
) -> None:
    """Lay out a manifest below ``root`` as copies, owned by ``owner`` when it is given."""
    made: set[str] = {""}
    for entry in entries:
        source = store.file(entry.digest, entry.size, _name(entry, whose))
        _parents(root, entry.path, made, owner)
        mode = (
            (0o755 if entry.executable else 0o644) if writable else (0o555 if entry.executable else 0o444)
        )
        store.copier.copy(source, os.path.join(root, entry.path), mode, owner)


def _name(entry: Entry, whose: str) -> str:
    return f"The file {entry.path!r} of {whose}"


def _parents(root: str, path: str, made: set[str], owner: int | None) -> None:
    parent = path.rpartition("/")[0]
    if parent in made:
        return
    _parents(root, parent, made, owner)
    made.add(parent)
    full = os.path.join(root, parent)
    os.mkdir(full, 0o755)
    if owner is not None:
        os.chown(full, owner, owner)


def _place(item: Input, spec: Spec, folder: Folder, store: Store) -> str:
    """Make an input ready; the path on the host of its folder."""
    whose = f"the input {item.name!r}"
    if "/" in item.name or item.name in ("", ".", ".."):
        raise Failure("launch_failed", f"{item.name!r} cannot be the name of an input.")
    if spec.boxed and item.mode == "ro_mount":
        return shared_tree(item.manifest, spec.trees_root, store, whose)
    target = folder.path("inputs", item.name)
    os.mkdir(target, 0o755)
    if spec.owner is not None:
        os.chown(target, spec.owner, spec.owner)
    entries = store.manifest(item.manifest, whose)
    writable = item.mode == "download"
    copy_tree(entries, target, store, whose, spec.owner, writable=writable)
    return target


def shared_tree(digest: str, trees_root: str, store: Store, whose: str) -> str:
    """The hard-linked tree of a manifest, built once on this host, whoever asks at the same time.

    A tree is there whole or not at all. Its files are the blobs themselves: only ever show it through a
    read-only mount. One with a file that was written to since is taken away and built anew.
    """
    final = os.path.join(trees_root, digest)
    building = f"{final}.{os.getpid()}.{time.monotonic_ns()}.tmp"
    entries = None
    if os.path.isdir(final):
        if not _sealed(final):
            entries = store.manifest(digest, whose)
        if entries is None or _sound(final, entries):
            os.utime(final)
            return final
        with contextlib.suppress(FileNotFoundError):  # another launcher found it out too
            os.rename(final, building)
            _run_rm([building])
    if entries is None:
        entries = store.manifest(digest, whose)
    os.makedirs(trees_root, exist_ok=True)
    os.mkdir(building, 0o755)
    made: set[str] = {""}
    for entry in entries:
        source = store.file(entry.digest, entry.size, _name(entry, whose))
        _parents(building, entry.path, made, None)
        target = os.path.join(building, entry.path)
        # A link shares the blob's mode, so a program needs a copy; so does a blob with too many links.
        if entry.executable or not _link(source, target):
            store.copier.copy(source, target, 0o555 if entry.executable else 0o444, None)
            os.utime(target, ns=(SEALED_NS, SEALED_NS))
    try:
        os.rename(building, final)
    except OSError:
        if not os.path.isdir(final):
            raise
        _run_rm([building])
    return final


def _sealed(root: str) -> bool:
    """Whether no file below was written to since its blob was whole: some 3 µs a file."""
    with os.scandir(root) as rows:
        return all(
            _sealed(row.path)
            if row.is_dir(follow_symlinks=False)
            else row.stat(follow_symlinks=False).st_mtime_ns == SEALED_NS
            for row in rows
        )


def _sound(root: str, entries: list[Entry]) -> bool:
    try:
        return not any(damage(os.path.join(root, e.path), e.digest, e.size) for e in entries)
    except OSError:
        return False


def _link(source: str, target: str) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def remove(folder: Folder, names: list[str]) -> None:
    """Take names below the folder away, whatever the job left in them."""
    there = [folder.path(name) for name in names if folder.has(name)]
    if there and _run_rm(there) != 0:
        _run(["chmod", "-R", "u+rwX", "--", *there])
        _run_rm(there)


def _run_rm(paths: list[str]) -> int:
    return _run(["rm", "-rf", "--", *paths])


def _run(argv: list[str]) -> int:
    """Run a program of the system; ``rm`` withstands depths and modes that a loop of ours would not."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    environment = {"PATH": "/usr/bin:/bin"}
    pid = os.posix_spawnp(argv[0], argv, environment, file_actions=null)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def used_bytes(roots: list[str], check: Callable[[], None]) -> int:
    """Bytes on disk below the folders; links are not followed, what vanishes meanwhile counts nothing."""
    total = 0
    waiting = list(roots)
    while waiting:
        check()
        try:
            with os.scandir(waiting.pop()) as rows:
                for row in rows:
                    try:
                        total += row.stat(follow_symlinks=False).st_blocks * 512
                        if row.is_dir(follow_symlinks=False):
                            waiting.append(row.path)
                    except OSError:
                        continue
        except OSError:
            continue
    return total
