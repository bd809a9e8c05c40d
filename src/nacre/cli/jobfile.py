"""From the command line or a YAML file to a job's spec. Nothing is sent here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from nacre.errors import InvalidSpec, NotFound
from nacre.schema.jobs import Job, JobSpec

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SCRIPT = re.compile(r".*\.(py|sh)")


@dataclass(frozen=True)
class Draft:
    """Fields of a spec that is not complete yet. ``folder``: the code to snapshot, if any."""

    fields: dict[str, Any]
    folder: Path | None

    def spec(self, code: str | None = None) -> JobSpec:
        """The spec, with the digest of the code once it is known.

        Raises:
            InvalidSpec: the sentence names the field.
        """
        fields = self.fields | ({"code": code} if code else {})
        try:
            return JobSpec.model_validate(fields)
        except ValidationError as error:
            found = [(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
            where, what = found[0]
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise InvalidSpec(
                f"{where or 'the job'}: {what.removeprefix('Value error, ')}{more}",
                fields=[{"field": field, "message": message} for field, message in found],
            ) from error


def from_command(script: str, arguments: Sequence[str], folder: Path) -> Draft:
    """The draft of ``nacre run SCRIPT -- ARGUMENTS`` with the code in ``folder``.

    A ``.py`` file is run by the environment's Python, a ``.sh`` file by the shell; anything else is a
    command, such as ``python -m train``.

    Raises:
        NotFound: the script is not in the folder.
    """
    if not _SCRIPT.fullmatch(script):
        empty = folder.is_dir() and not any(folder.iterdir())  # then there is no code to send
        return Draft({"commands": [_line(script, arguments)]}, None if empty else folder)
    path = Path(script)
    inside = path.resolve() if path.is_absolute() else (folder / path).resolve()
    if not inside.is_file():
        raise NotFound(
            f"there is no script {script} in {folder.resolve()}: check the path, or give --workdir"
        )
    if not inside.is_relative_to(folder.resolve()):
        raise InvalidSpec(f"{script} lies outside of the code folder {folder.resolve()}: give --workdir")
    name = inside.relative_to(folder.resolve()).as_posix()
    return Draft({"commands": [_line(name, arguments)]}, folder)


def _line(script: str, arguments: Sequence[str]) -> str:
    program = {"py": ["python"], "sh": ["sh"]}[script[-2:]] if _SCRIPT.fullmatch(script) else []
    return shlex.join([*program, script, *arguments])


def from_file(path: Path, folder: Path | None = None) -> Draft:
    """The draft of ``nacre run -f job.yaml``.

    ``code`` may name a folder, relative to the file; the default is the file's own folder. A digest means
    code that was sent before.

    Raises:
        NotFound: there is no such file.
        InvalidSpec: it is not YAML, or not a job.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise InvalidSpec(f"{path} does not describe a job: it needs at least 'commands'")
    fields = {str(key): value for key, value in found.items() if key != "$schema"}
    code = fields.get("code")
    if isinstance(code, str) and _DIGEST.fullmatch(code):
        return Draft(fields, None)
    fields.pop("code", None)
    base = path.parent / code if isinstance(code, str) else path.parent
    for name in ("resources", "env", "inputs"):
        if name in fields and fields[name] is None:
            del fields[name]
    return Draft(fields, folder or base)


def from_job(
    job: Job, script: str | None = None, arguments: Sequence[str] = (), folder: Path | None = None
) -> Draft:
    """The draft that does a job again: the same code, data versions, packages, command and resources; but
    with another ``script``, or the code of another ``folder``, when they are given.

    Raises:
        InvalidSpec: it is work of the server's own, which has a command for it.
    """
    if job.kind != "task":
        again = {"convert": "'nacre model convert'", "evaluate": "'nacre evaluate'"}[job.kind]
        raise InvalidSpec(f"{job.name} is no job of yours but Nacre's own: do it again with {again}")
    assert job.record is not None
    fields = job.spec.model_dump(mode="json", exclude={"name"})
    fields["code"] = job.record.code
    fields["environment_lock"] = job.record.lock_digest or job.spec.environment_lock
    for name, reference in job.record.inputs.items():
        fields["inputs"][name]["path"] = reference
    draft = Draft(fields, None)
    if folder is not None:
        draft = Draft({**fields, "code": None}, folder)
    if script is not None:
        line = (
            [_line(script, arguments)]
            if folder is None
            else from_command(script, arguments, folder).fields["commands"]
        )
        draft.fields["commands"] = line
    return draft


def variables(given: Sequence[str], shell: Mapping[str, str]) -> dict[str, str]:
    """``K=V`` as it stands, ``K`` with the shell's value.

    Raises:
        InvalidSpec: the shell has no such variable.
    """
    found: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals and name not in shell:
            raise InvalidSpec(f"--env {name}: the shell has no such variable; write --env {name}=VALUE")
        found[name] = value if equals else shell[name]
    return found


def inputs(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """``digits``, ``digits@3`` or ``NAME=digits@3``, with ``,as=keras:mnist`` after it → name and input.

    Raises:
        InvalidSpec: something else comes after a comma.
    """
    found: dict[str, dict[str, str]] = {}
    for item in given:
        reference, *options = item.split(",")
        name, equals, path = reference.partition("=")
        if not equals:
            name, path = reference.partition("@")[0], reference
        found[name] = {"path": path}
        for option in options:
            key, _, value = option.partition("=")
            if key != "as" or not value:
                raise InvalidSpec(
                    f"--data {item}: write it as digits, NAME=digits@1 or digits,as=keras:mnist"
                )
            found[name]["as"] = value
    return found
