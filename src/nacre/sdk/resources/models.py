"""``client.models`` and ``client.evaluations``."""

from __future__ import annotations

import builtins
import time
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from nacre.errors import NotFound, Unavailable
from nacre.schema.models import (
    AliasSet,
    ConversionState,
    Evaluation,
    EvaluationCreate,
    EvaluationState,
    ExportLayout,
    Model,
    ModelCreate,
    ModelFiles,
    ModelRegister,
    ModelUpdate,
    ModelVersion,
    VersionUpdate,
)
from nacre.sdk.model_files import find_model
from nacre.sdk.push import PushProgress, push_local
from nacre.sdk.resources.base import Noun

_WAIT_S = 30.0
_OVER = (ConversionState.READY, ConversionState.FAILED, ConversionState.NONE)


class Models(Noun):
    """Models, their versions and aliases. A ``version`` is a number, an alias or ``latest``."""

    def register(self, model: str, request: ModelRegister, *, project: str | None = None) -> ModelVersion:
        """The next version from a run's artifact; its conversion to ONNX starts at once."""
        found: ModelVersion = self._transport.call(
            "models.register",
            ModelVersion,
            json=request.model_dump(mode="json", exclude_none=True),
            model=model,
            project=self._in(project),
        )
        return found

    def push(
        self,
        path: str | Path,
        model: str | None = None,
        *,
        environment: str | None = None,
        progress: PushProgress | None = None,
        project: str | None = None,
    ) -> ModelVersion:
        """Send a model's file or folder and register it as the next version; its conversion starts at once.

        When the latest version has exactly these files, that one is returned.

        Args:
            model: its name; that of the file or folder by default.
            environment: to convert in, or to run in where it is not converted.

        Raises:
            NotFound: there is nothing at ``path``.
            InvalidSpec: it is no model, or a pickle, which is code: those are registered from a run.
        """
        found = find_model(Path(path))
        name = model or found.name
        pushed = push_local(self._transport, self._in(project), found.files, progress=progress)
        try:
            latest = self.get(name, project=project).latest
        except NotFound:
            latest = None
        same = latest is not None and (latest.manifest, environment) == (pushed.manifest, None)
        if latest is not None and same and latest.conversion != ConversionState.FAILED:
            return latest
        request = ModelRegister(manifest=pushed.manifest, path=found.entry, environment=environment)
        return self.register(name, request, project=project)

    def create(
        self,
        name: str,
        *,
        description: str = "",
        tags: dict[str, str] | None = None,
        project: str | None = None,
    ) -> Model:
        """A model that has no version yet.

        Raises:
            Conflict: there is one of that name.
        """
        request = ModelCreate(name=name, description=description, tags=tags or {})
        found: Model = self._transport.call(
            "models.create", Model, json=request.model_dump(), project=self._in(project)
        )
        return found

    def update(self, model: str, change: ModelUpdate, *, project: str | None = None) -> Model:
        """Rename, describe or tag a model."""
        found: Model = self._transport.call(
            "models.update",
            Model,
            json=change.model_dump(exclude_unset=True),
            model=model,
            project=self._in(project),
        )
        return found

    def update_version(
        self, model: str, version: str, change: VersionUpdate, *, project: str | None = None
    ) -> ModelVersion:
        """Describe or tag a version."""
        found: ModelVersion = self._transport.call(
            "models.update_version",
            ModelVersion,
            json=change.model_dump(exclude_unset=True),
            model=model,
            version=version,
            project=self._in(project),
        )
        return found

    def list(self, *, limit: int | None = None, project: str | None = None) -> builtins.list[Model]:
        """The project's models, newest first."""
        return self._all("models.list", Model, limit=limit, project=self._in(project))

    def get(self, model: str, *, project: str | None = None) -> Model:
        """A model with its aliases and latest version."""
        found: Model = self._transport.call("models.get", Model, model=model, project=self._in(project))
        return found

    def list_versions(
        self, model: str, *, limit: int | None = None, project: str | None = None
    ) -> builtins.list[ModelVersion]:
        """A model's versions with their evaluations, newest first."""
        return self._all(
            "models.list_versions", ModelVersion, limit=limit, model=model, project=self._in(project)
        )

    def get_version(
        self,
        model: str,
        version: str = "latest",
        *,
        wait_s: float = 0,
        unless: str | None = None,
        project: str | None = None,
    ) -> ModelVersion:
        """A version; waits up to ``wait_s`` while its conversion is in the state ``unless``."""
        found: ModelVersion = self._transport.call(
            "models.get_version",
            ModelVersion,
            query={"wait_s": wait_s, "unless": unless},
            timeout_s=wait_s + 30,
            model=model,
            version=version,
            project=self._in(project),
        )
        return found

    def wait(
        self, model: str, version: str = "latest", *, timeout_s: float = 3600, project: str | None = None
    ) -> ModelVersion:
        """The version once its conversion is over, well or badly.

        Raises:
            Unavailable: it was not over in time.
        """
        deadline = time.monotonic() + timeout_s
        unless: str | None = None
        while time.monotonic() < deadline:
            found = self.get_version(model, version, wait_s=_WAIT_S, unless=unless, project=project)
            if found.conversion in _OVER:
                return found
            version, unless = str(found.number), found.conversion
        raise Unavailable(f"{model}/{version} was not converted within {timeout_s:.0f} s")

    def files(self, model: str, version: str = "latest", *, project: str | None = None) -> ModelFiles:
        """The version's files; read their bytes with ``client.blobs``."""
        found: ModelFiles = self._transport.call(
            "models.files", ModelFiles, model=model, version=version, project=self._in(project)
        )
        return found

    def archive(self, model: str, version: str, target: BinaryIO, *, project: str | None = None) -> int:
        """Write a ZIP of the version's files, and of its ONNX form, into an open file; its bytes' number.

        Raises:
            Unavailable: the answer ended early; what was written is not whole.
        """
        return self._download("models.archive", target, model, version, project, {})

    def export(
        self,
        model: str,
        version: str,
        layout: ExportLayout,
        target: BinaryIO,
        *,
        project: str | None = None,
    ) -> int:
        """Write a ZIP with the tree ``<model>/<version>/…`` of a layout; the number of its bytes.

        Raises:
            Conflict: the version has no such form; the sentence says how to get one.
            Unavailable: the answer ended early; what was written is not whole.
        """
        return self._download("models.export", target, model, version, project, {"layout": layout})

    def _download(
        self,
        operation: str,
        target: BinaryIO,
        model: str,
        version: str,
        project: str | None,
        query: dict[str, Any],
    ) -> int:
        written = 0
        params: dict[str, Any] = {"model": model, "version": version, "project": self._in(project)}
        with self._transport.stream(operation, query=query, **params) as response:
            try:
                for piece in response.iter_bytes():
                    written += target.write(piece)
            except httpx.HTTPError as error:
                raise Unavailable(f"the download of {model}/{version} was cut short: {error}") from error
        return written

    def convert(self, model: str, version: str = "latest", *, project: str | None = None) -> ModelVersion:
        """Convert again, after it failed."""
        found: ModelVersion = self._transport.call(
            "models.convert", ModelVersion, model=model, version=version, project=self._in(project)
        )
        return found

    def set_alias(self, model: str, alias: str, version: int, *, project: str | None = None) -> Model:
        """Point an alias at a version."""
        found: Model = self._transport.call(
            "models.set_alias",
            Model,
            json=AliasSet(version=version).model_dump(),
            model=model,
            alias=alias,
            project=self._in(project),
        )
        return found

    def delete_alias(self, model: str, alias: str, *, project: str | None = None) -> None:
        """Remove an alias; the version stays."""
        self._transport.call(
            "models.delete_alias", None, model=model, alias=alias, project=self._in(project)
        )

    def delete_version(self, model: str, version: str, *, project: str | None = None) -> None:
        """Delete a version that no endpoint serves."""
        self._transport.call(
            "models.delete_version", None, model=model, version=version, project=self._in(project)
        )

    def delete(self, model: str, *, project: str | None = None) -> None:
        """Delete a model that no endpoint serves."""
        self._transport.call("models.delete", None, model=model, project=self._in(project))


class Evaluations(Noun):
    """Metrics of model versions on dataset versions."""

    def create(
        self, model: str, version: str, request: EvaluationCreate, *, project: str | None = None
    ) -> Evaluation:
        """Start an evaluation; it runs as a job."""
        found: Evaluation = self._transport.call(
            "evaluations.create",
            Evaluation,
            json=request.model_dump(exclude_none=True),
            model=model,
            version=version,
            project=self._in(project),
        )
        return found

    def list(
        self, model: str, version: str = "latest", *, limit: int | None = None, project: str | None = None
    ) -> builtins.list[Evaluation]:
        """A version's evaluations, newest first."""
        return self._all(
            "evaluations.list",
            Evaluation,
            limit=limit,
            model=model,
            version=version,
            project=self._in(project),
        )

    def get(
        self, evaluation: str, *, wait_s: float = 0, unless: str | None = None, project: str | None = None
    ) -> Evaluation:
        """One evaluation; waits up to ``wait_s`` while its state is ``unless``."""
        found: Evaluation = self._transport.call(
            "evaluations.get",
            Evaluation,
            query={"wait_s": wait_s, "unless": unless},
            timeout_s=wait_s + 30,
            evaluation=evaluation,
            project=self._in(project),
        )
        return found

    def wait(self, evaluation: str, *, timeout_s: float = 3600, project: str | None = None) -> Evaluation:
        """The evaluation once it has ended, well or badly.

        Raises:
            Unavailable: it did not end in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.get(evaluation, wait_s=_WAIT_S, unless=EvaluationState.RUNNING, project=project)
            if found.state != EvaluationState.RUNNING:
                return found
        raise Unavailable(f"the evaluation did not end within {timeout_s:.0f} s: see 'nacre ps'")
