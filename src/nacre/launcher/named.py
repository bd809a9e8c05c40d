"""Data sets that frameworks load by name: links where each framework looks for its copy.

An input marked ``as: keras:mnist`` lies at its usual place, read-only; in the command's private home and
working folder there are links to its files, and variables where a framework wants to be told. Nothing that
is there already, such as a folder of the user's code, is replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import NamedTuple

from nacre.launcher.folder import Failure, Folder, write_file
from nacre.launcher.spec import Spec
from nacre.launcher.variables import Places

MANIFEST = "datasets.json"
BARE: dict[str, tuple[str, ...]] = {
    "mnist": ("keras:mnist", "torchvision:MNIST", "mxnet:mnist", "paddle:mnist", "tfds:mnist"),
    "fashion-mnist": (
        "keras:fashion-mnist",
        "torchvision:FashionMNIST",
        "mxnet:fashion-mnist",
        "paddle:fashion-mnist",
        "tfds:fashion_mnist",
    ),
    "cifar10": ("keras:cifar10", "torchvision:CIFAR10", "mxnet:cifar10", "paddle:cifar", "tfds:cifar10"),
    "cifar100": (
        "keras:cifar100",
        "torchvision:CIFAR100",
        "mxnet:cifar100",
        "paddle:cifar",
        "tfds:cifar100",
    ),
    "imdb": ("keras:imdb", "paddle:imdb"),
    "reuters": ("keras:reuters",),
    "boston-housing": ("keras:boston-housing",),
    "california-housing": ("keras:california-housing",),
}
"""What a name without a framework means."""

_RAW = frozenset(("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST"))  # torchvision: root/NAME/raw
_MOST_LINKS = 2_000
_DEPTH = 4


class Placed(NamedTuple):
    """Entries of the folder ``source`` of an input become entries of a folder of the command's.

    ``base``: ``home`` or ``work`` (the working folder); ``target``: a folder below it.
    """

    base: str
    target: str
    source: str


def placements(name: str, root: str) -> list[Placed]:
    """Where the files of an input go that is called ``name`` (``keras:mnist``) and lies at ``root``."""
    framework, _, what = name.partition(":")
    if not what:
        return [place for full in BARE.get(name, ()) for place in placements(full, root)]
    if framework == "keras":
        return [Placed("home", ".keras/datasets", "")]
    if framework == "torchvision":
        return _torchvision(what, root)
    if framework in ("mxnet", "paddle"):
        folder = ".mxnet/datasets" if framework == "mxnet" else ".cache/paddle/dataset"
        return [Placed("home", f"{folder}/{what}", "")]
    if framework == "tfds":
        inside = os.path.isdir(os.path.join(root, what))  # a copy of all of ~/tensorflow_datasets
        return [Placed("home", "tensorflow_datasets" if inside else f"tensorflow_datasets/{what}", "")]
    return _hugging_face(what, root)


def _torchvision(what: str, root: str) -> list[Placed]:
    if what not in _RAW:
        return [Placed("work", "data", "")]
    source = _folder_of(root, "", "-ubyte", _DEPTH)
    return [] if source is None else [Placed("work", f"data/{what}/raw", source)]


def _folder_of(root: str, inside: str, word: str, depth: int) -> str | None:
    """The nearest folder that has a file with ``word`` in its name."""
    with os.scandir(os.path.join(root, inside)) as rows:
        entries = sorted(rows, key=lambda row: row.name)
    if any(word in row.name for row in entries if row.is_file()):
        return inside
    for row in entries:
        if depth > 0 and row.is_dir():
            found = _folder_of(root, os.path.join(inside, row.name), word, depth - 1)
            if found is not None:
                return found
    return None


def _hugging_face(what: str, root: str) -> list[Placed]:
    """A copy of the cache (``hub``, ``datasets``), of what is in ``hub``, or the files of the data set."""
    home = ".cache/huggingface"
    parts = [name for name in ("hub", "datasets") if os.path.isdir(os.path.join(root, name))]
    if parts:
        return [Placed("home", f"{home}/{name}", name) for name in parts]
    if any(name.startswith(("datasets--", "models--")) for name in os.listdir(root)):
        return [Placed("home", f"{home}/hub", "")]
    repository = f"{home}/hub/datasets--" + what.replace("/", "--")
    return [Placed("home", f"{repository}/snapshots/nacre", "")]


def variables(spec: Spec, places: Places) -> dict[str, str]:
    """What frameworks are told; the user's own variables win over these."""
    named = [item.as_name for item in spec.inputs if item.as_name is not None]
    if not named or spec.home is not None:
        return {}
    found = {"NACRE_DATASET_MANIFEST": f"{places.etc}/{MANIFEST}"}
    if any(name.startswith("hf:") for name in named):
        found |= {"HF_HOME": f"{places.home}/.cache/huggingface"}
        found |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return found


def arrange(spec: Spec, folder: Folder, inputs: dict[str, str]) -> None:
    """Make the links, and the manifest that says which files may stand in for the originals.

    Only in the private home of a job, which nobody has written to yet. ``inputs``: where each lies on this
    host.

    Raises:
        Failure: the data set has nothing that the framework would find.
    """
    named = {item.name: item.as_name for item in spec.inputs if item.as_name is not None}
    if not named or spec.home is not None:
        return
    places = Places(spec, folder, inputs)
    cwd = folder.path("work", *places.cwd[len(places.work) :].strip("/").split("/"))
    bases = {"home": folder.path("home"), "work": cwd.rstrip("/")}
    for name, called in named.items():
        placed = placements(called, inputs[name])
        if not placed:
            message = f"The input {name!r} has no files that {called} would find: see 'named data sets'."
            raise Failure("data_missing", message)
        for place in placed:
            _link(place, bases, inputs[name], places.inputs[name], spec.owner)
            if "/snapshots/" in place.target:
                refs = os.path.join(bases["home"], place.target.partition("/snapshots/")[0], "refs")
                _folders(bases["home"], os.path.relpath(refs, bases["home"]), spec.owner)
                write_file(os.path.join(refs, "main"), b"nacre", 0o644, spec.owner)
    shown = {places.inputs[name]: f"the input {name}" for name in named}
    write_file(folder.path("etc", MANIFEST), json.dumps(shown).encode(), 0o444)


def beside(spec: Spec, places: Places, inputs: dict[str, str]) -> list[tuple[str, str]]:
    """What a sandbox shows beside the inputs, for the many scripts that read ``../data``: pairs of a path
    on this host and one of the command's."""
    found: dict[str, str] = {}
    if os.path.normpath(f"{places.cwd}/../data") != places.input_root:
        return []
    for item in spec.inputs:
        root = inputs[item.name]
        for place in placements(item.as_name, root) if item.as_name is not None else []:
            if place.base != "work":
                continue
            inside = place.target.partition("/")[2]
            for entry in [""] if inside else sorted(os.listdir(root))[:20]:
                target = f"{places.input_root}/{inside or entry}"
                if target.split("/")[len(places.input_root.split("/"))] not in inputs:
                    found.setdefault(target, os.path.join(root, place.source, entry).rstrip("/"))
    return [(source, target) for target, source in found.items()]


def _link(place: Placed, bases: dict[str, str], root: str, seen: str, owner: int | None) -> None:
    _folders(bases[place.base], place.target, owner)
    target = os.path.join(bases[place.base], place.target)
    for entry in sorted(os.listdir(os.path.join(root, place.source)))[:_MOST_LINKS]:
        link = os.path.join(target, entry)
        with contextlib.suppress(FileExistsError):  # the user's code brings one
            os.symlink(os.path.join(seen, place.source, entry), link)
            if owner is not None:
                os.lchown(link, owner, owner)


def _folders(base: str, path: str, owner: int | None) -> None:
    for part in path.split("/"):
        base = os.path.join(base, part)
        with contextlib.suppress(FileExistsError):
            os.mkdir(base, 0o755)
            if owner is not None:
                os.chown(base, owner, owner)
