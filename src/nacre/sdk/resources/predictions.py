"""What ``client.endpoints`` does by jobs: predictions for datasets, drift reports."""

from __future__ import annotations

import time

from nacre.errors import Unavailable
from nacre.schema.predictions import Batch, BatchCreate, Drift, DriftCreate, WorkState
from nacre.sdk.resources.base import Noun

_WAIT_S = 30.0


class Predictions(Noun):
    """Batch predictions and drift reports."""

    def batch(self, request: BatchCreate, *, project: str | None = None) -> Batch:
        """Ask an endpoint's model, or any version, for every sample of a dataset; runs as a job."""
        found: Batch = self._transport.call(
            "endpoints.batch",
            Batch,
            json=request.model_dump(mode="json", exclude_none=True),
            project=self._in(project),
        )
        return found

    def list_batches(self, *, limit: int | None = None, project: str | None = None) -> list[Batch]:
        """The project's batch predictions, newest first."""
        return self._all("endpoints.list_batches", Batch, limit=limit, project=self._in(project))

    def get_batch(
        self, batch: str, *, wait_s: float = 0, unless: str | None = None, project: str | None = None
    ) -> Batch:
        """One by id; waits up to ``wait_s`` while its state is ``unless``."""
        found: Batch = self._transport.call(
            "endpoints.get_batch",
            Batch,
            query={"wait_s": wait_s, "unless": unless},
            timeout_s=wait_s + 30,
            batch=batch,
            project=self._in(project),
        )
        return found

    def wait_batch(self, batch: str, *, timeout_s: float = 86_400, project: str | None = None) -> Batch:
        """It, once it has ended, well or badly.

        Raises:
            Unavailable: it did not end in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.get_batch(batch, wait_s=_WAIT_S, unless=WorkState.RUNNING, project=project)
            if found.state != WorkState.RUNNING:
                return found
        raise Unavailable(f"the predictions did not end within {timeout_s:.0f} s: see 'nacre ps'")

    def drift(
        self, endpoint: str, request: DriftCreate | None = None, *, project: str | None = None
    ) -> Drift:
        """Compare what an endpoint captured with what its model was trained on; runs as a job.

        Raises:
            Conflict: nothing was captured, or nothing tells the training data.
        """
        found: Drift = self._transport.call(
            "endpoints.drift",
            Drift,
            json=(request or DriftCreate()).model_dump(exclude_none=True),
            endpoint=endpoint,
            project=self._in(project),
        )
        return found

    def list_drift(
        self, endpoint: str, *, limit: int | None = None, project: str | None = None
    ) -> list[Drift]:
        """An endpoint's drift reports, newest first."""
        return self._all(
            "endpoints.list_drift", Drift, limit=limit, endpoint=endpoint, project=self._in(project)
        )

    def get_drift(
        self,
        endpoint: str,
        report: str,
        *,
        wait_s: float = 0,
        unless: str | None = None,
        project: str | None = None,
    ) -> Drift:
        """One by id; waits up to ``wait_s`` while its state is ``unless``."""
        found: Drift = self._transport.call(
            "endpoints.get_drift",
            Drift,
            query={"wait_s": wait_s, "unless": unless},
            timeout_s=wait_s + 30,
            endpoint=endpoint,
            report=report,
            project=self._in(project),
        )
        return found

    def wait_drift(
        self, endpoint: str, report: str, *, timeout_s: float = 3600, project: str | None = None
    ) -> Drift:
        """It, once it has ended, well or badly.

        Raises:
            Unavailable: it did not end in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.get_drift(
                endpoint, report, wait_s=_WAIT_S, unless=WorkState.RUNNING, project=project
            )
            if found.state != WorkState.RUNNING:
                return found
        raise Unavailable(f"the comparison did not end within {timeout_s:.0f} s: see 'nacre ps'")
