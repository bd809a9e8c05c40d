"""What people hand in (requirements, pyproject, locks), made safe and brought to one form.

Resolving and building happen with the server's rights. So nothing in a source may run code (only wheels
are taken, nothing is built), read a file of the server, or see its variables.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from nacre.domain.requirements import canonical, logical_lines
from nacre.errors import InvalidSpec

_REQUIREMENT = re.compile(r"^([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(\[[\w\s,.-]*\])?\s*(.*)$")
_SPECIFIER = re.compile(r"[\w\s.,<>=!~*+()-]*")
_INDEX = re.compile(r"^(-i|--index-url|--extra-index-url|-f|--find-links)[\s=]+(\S+)$")
_HASH = re.compile(r"\s--hash[=\s](sha(?:256|384|512):[0-9a-f]+)")
_TORCH = ("torch", "torchvision", "torchaudio")


@dataclass(frozen=True)
class Wanted:
    """Requirement lines and index options, all checked; ``notes`` are for the build log."""

    lines: list[str]
    options: list[str]
    notes: list[str]


def from_requirements(text: str) -> Wanted:
    """The lines of a requirements file.

    Raises:
        InvalidSpec: a line that is none, or that would build code or read a file of the server.
    """
    lines, options = [], []
    for line in logical_lines(text):
        if line.startswith("-"):
            options.append(_option(line))
        else:
            if "--hash" in line:
                raise InvalidSpec(f"{line.split()[0]!r} has hashes: hand this file in as a lock (--lock)")
            lines.append(_requirement(line))
    if not lines:
        raise InvalidSpec("the requirements are empty: name at least one package")
    return Wanted(lines, options, [])


def _option(line: str) -> str:
    match = _INDEX.match(line)
    if match is None:
        raise InvalidSpec(
            f"{line!r} is not taken in an environment: only packages and the options --index-url, "
            "--extra-index-url and --find-links may be there"
        )
    _safe_url(match[2], line)
    return f"{match[1]} {match[2]}"


def _safe_url(url: str, line: str) -> None:
    if not re.match(r"https?://", url) or "$" in url:
        raise InvalidSpec(f"{line!r}: only http and https URLs without variables are taken")


def _requirement(line: str) -> str:
    match = _REQUIREMENT.match(line)
    rest = match[3] if match else ""
    specifier = rest.partition(";")[0]
    plain = rest.startswith("@") or (
        _SPECIFIER.fullmatch(specifier) and not re.search(r"(^|\s)-", specifier)
    )
    if match is None or not plain or "$" in line:
        raise InvalidSpec(
            f"{line!r} is not a package name with a version: files and folders cannot be installed; "
            "put your own code beside the script instead"
        )
    if rest.startswith("@"):
        url = rest[1:].split(";")[0].strip()
        _safe_url(url, line)
        if not url.split("#")[0].split("?")[0].endswith(".whl"):
            raise InvalidSpec(f"{line!r}: a URL must be that of a wheel (.whl), because nothing is built")
    return line


def from_pyproject(text: str) -> Wanted:
    """The dependencies of a project's ``[project]`` table.

    Raises:
        InvalidSpec: not TOML, no such table, or dependencies that only a build could tell.
    """
    data = _toml(text, "pyproject.toml")
    project = data.get("project")
    if not isinstance(project, dict):
        poetry = "poetry" in data.get("tool", {})
        raise InvalidSpec(
            "the pyproject.toml has no [project] table: "
            + ("export Poetry's lock with 'poetry export' and use --lock" if poetry else "add one")
        )
    if "dependencies" in project.get("dynamic", []):
        raise InvalidSpec("the project's dependencies are dynamic: list them in [project] dependencies")
    listed = project.get("dependencies", [])
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise InvalidSpec("[project] dependencies must be a list of strings")
    notes = []
    names = {canonical(re.split(r"[^\w.-]", item.strip(), maxsplit=1)[0]) for item in listed}
    for name in data.get("tool", {}).get("uv", {}).get("sources", {}):
        if canonical(name) in _TORCH:
            notes.append(f"note: [tool.uv.sources] {name} is left out: Nacre picks the build that fits")
        elif canonical(name) in names:
            raise InvalidSpec(
                f"[tool.uv.sources] names {name}: use the project's lock instead, "
                "made with 'uv export --format pylock.toml'"
            )
    found = from_requirements("\n".join(" ".join(item.split()) for item in listed))
    return Wanted(found.lines, found.options, notes)


def is_uv_lock(text: str) -> bool:
    """Whether a lock is uv's own, which uv itself has to export."""
    return re.search(r"^\[\[package\]\]", text, re.MULTILINE) is not None


def uv_lock_root(text: str) -> str:
    """The name of the project that a ``uv.lock`` belongs to.

    Raises:
        InvalidSpec: it is not a lock of uv, or it locks more than one project.
    """
    data = _toml(text, "the lock")
    if "metadata" in data or "requires-python" not in data:
        raise InvalidSpec("this is no lock of uv: export it in the form requirements.txt with hashes")
    if data.get("manifest", {}).get("members"):
        raise InvalidSpec("the lock is a workspace's: export one project with 'uv export --package NAME'")
    roots = []
    for package in data.get("package", []):
        source = package.get("source", {})
        if source.get("virtual") == "." or source.get("editable") == ".":
            roots.append(str(package["name"]))
        elif not {"registry", "url"} & source.keys():
            raise InvalidSpec(
                f"the lock takes {package.get('name')} from {', '.join(source)}: only wheels are installed"
            )
    if len(roots) != 1 or not _REQUIREMENT.match(roots[0]):
        raise InvalidSpec("the lock has no project of its own: export it with 'uv export'")
    return roots[0]


def from_lock(text: str) -> str:
    """A lock in the form requirements.txt with hashes, or ``pylock.toml``, in Nacre's one form.

    Raises:
        InvalidSpec: a package without exact version or hash.
    """
    if re.search(r"^lock-version\s*=", text, re.MULTILINE):
        return _from_pylock(_toml(text, "pylock.toml"))
    options, entries = [], []
    for line in logical_lines(text):
        if line.startswith("-"):
            options.append(_option(line))
            continue
        hashes = _HASH.findall(line)
        requirement = _requirement(_HASH.sub("", line).strip())
        if not re.search(r"==\s*[^\s*]+|@", requirement) or "*" in requirement.split(";")[0]:
            raise InvalidSpec(f"the lock does not pin {requirement!r} with '==': lock it first")
        if not hashes:
            raise InvalidSpec(
                f"the lock has no hash for {requirement!r}: "
                "make it with 'uv pip compile --generate-hashes requirements.in'"
            )
        entries.append((requirement, hashes))
    return one_form(entries, options)


def _from_pylock(data: dict[str, Any]) -> str:
    entries = []
    for package in data.get("packages", []):
        name, version = str(package.get("name")), package.get("version")
        if {"vcs", "directory"} & package.keys() or (archive := package.get("archive", {})).get("path"):
            raise InvalidSpec(
                f"the lock takes {name} from a folder or repository: only wheels are installed"
            )
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        if archive:
            requirement, files = f"{name} @ {archive.get('url')}", [archive]
        else:
            requirement = f"{name}=={version}"
        if package.get("marker"):
            requirement += f" ; {package['marker']}"
        hashes = sorted(
            {f"sha256:{f['hashes']['sha256']}" for f in files if "sha256" in f.get("hashes", {})}
        )
        if not hashes:
            raise InvalidSpec(f"the lock has no sha256 for {name}: lock it again with a newer tool")
        entries.append((_requirement(requirement), hashes))
    return one_form(entries, [])


def one_form(entries: list[tuple[str, list[str]]], options: list[str]) -> str:
    """A lock's text: options, then each package with its hashes, by name.

    Raises:
        InvalidSpec: it is empty.
    """
    if not entries:
        raise InvalidSpec("the lock is empty: it names no package")
    blocks = [
        " \\\n    ".join([requirement, *(f"--hash={h}" for h in sorted(hashes))])
        for requirement, hashes in sorted(entries)
    ]
    return "\n".join([*options, *blocks]) + "\n"


def _toml(text: str, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSpec(f"{what} is not valid TOML: {error}") from error
