"""``client.experiments``: what runs are grouped in."""

from __future__ import annotations

import builtins
from collections.abc import Mapping

from nacre.schema.experiments import Experiment
from nacre.sdk.resources.base import Noun


class Experiments(Noun):
    """Experiments of a project. ``experiment`` is a name or an id."""

    def create(
        self, name: str, *, tags: Mapping[str, str] | None = None, project: str | None = None
    ) -> Experiment:
        """Make an experiment; a run's ``experiment`` makes one too."""
        made: Experiment = self._transport.call(
            "experiments.create",
            Experiment,
            json={"name": name, "tags": dict(tags or {})},
            project=self._in(project),
        )
        return made

    def list(
        self, *, limit: int | None = None, deleted: bool = False, project: str | None = None
    ) -> builtins.list[Experiment]:
        """Experiments, the newest first; ``deleted``: those in the trash."""
        return self._all(
            "experiments.list",
            Experiment,
            limit=limit,
            query={"deleted": deleted},
            project=self._in(project),
        )

    def get(self, experiment: str, *, project: str | None = None) -> Experiment:
        """An experiment, also one in the trash."""
        found: Experiment = self._transport.call(
            "experiments.get", Experiment, project=self._in(project), experiment=experiment
        )
        return found

    def update(
        self,
        experiment: str,
        *,
        name: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        project: str | None = None,
    ) -> Experiment:
        """Rename it, set tags, and remove those whose text is null."""
        changed: Experiment = self._transport.call(
            "experiments.update",
            Experiment,
            json={"name": name, "tags": dict(tags or {})},
            project=self._in(project),
            experiment=experiment,
        )
        return changed

    def delete(self, experiment: str, *, project: str | None = None) -> None:
        """Put an experiment and its runs into the trash."""
        self._transport.call("experiments.delete", None, project=self._in(project), experiment=experiment)

    def restore(self, experiment: str, *, project: str | None = None) -> Experiment:
        """Bring an experiment back, with the runs that went with it."""
        found: Experiment = self._transport.call(
            "experiments.restore", Experiment, project=self._in(project), experiment=experiment
        )
        return found
