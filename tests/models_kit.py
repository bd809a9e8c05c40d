"""Models and endpoints over the world of jobs: real services, a fake engine, files that jobs left."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from blake3 import blake3
from fastapi import FastAPI
from tests.conftest import People
from tests.tracking_kit import Table

from nacre.api.app import make_app
from nacre.clock import FixedClock
from nacre.control.models import ModelLoop
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.errors import NacreError, Unavailable
from nacre.plugins.converters.builtin import KERAS, ONNX, PYTORCH, SKLEARN, TENSORFLOW
from nacre.ports.engines import NodeFacts
from nacre.schema.data import DatasetVersion, VersionCreate
from nacre.schema.endpoints import Endpoint, EndpointDeploy
from nacre.schema.jobs import Job
from nacre.schema.launch import FileEntry, Manifest
from nacre.schema.models import ModelRegister, ModelVersion
from nacre.schema.serving import (
    Routes,
    ServedHistory,
    ServedRevisionState,
    ServedState,
    ServingStatus,
)
from nacre.services.batch_predictions import BatchPredictions
from nacre.services.conversions import Conversions
from nacre.services.drift import Drifts
from nacre.services.endpoint_calls import EndpointCalls, Inferred
from nacre.services.endpoint_usage import EndpointUsage
from nacre.services.endpoint_wire import NoReplicas
from nacre.services.endpoints import Endpoints
from nacre.services.evaluations import Evaluations
from nacre.services.model_export import ModelExports
from nacre.services.models import Models
from nacre.services.registry import Services
from nacre.testing.engines import GIB, FakeEngine
from nacre.testing.jobs import JobsWorld

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}
CONVERTERS = (KERAS, ONNX, PYTORCH, SKLEARN, TENSORFLOW)


class ModelsWorld:
    """One server's services of models and endpoints, on those of jobs.

    ``told`` is what the model server would answer, null when it is away.
    """

    def __init__(self, jobs: JobsWorld, inference_url: str = "http://127.0.0.1:7375") -> None:
        self.jobs, self.inference_url = jobs, inference_url
        self.told: ServingStatus | None = None
        self.conversions = Conversions(
            jobs.db, jobs.clock, jobs.signals, jobs.ledger, jobs.jobs, CONVERTERS
        )
        self.models = Models(
            jobs.db,
            jobs.clock,
            jobs.signals,
            jobs.ledger,
            jobs.runs,
            self.conversions,
            jobs.environments,
            jobs.events,
            CONVERTERS,
        )
        self.evaluations = Evaluations(
            jobs.db,
            jobs.clock,
            jobs.signals,
            jobs.ledger,
            jobs.datasets,
            jobs.jobs,
            jobs.environments,
            jobs.events,
        )
        self.serving = jobs.folder / "serving"
        self.endpoints = Endpoints(
            db=jobs.db,
            clock=jobs.clock,
            signals=jobs.signals,
            ledger=jobs.ledger,
            prices=jobs.prices,
            usage=jobs.usage,
            events=jobs.events,
            replicas=NoReplicas(),
            blobs_root=jobs.folder / "blobs",
            serving=self.serving,
            base_url=self.inference_url,
            observed=self.observe,
        )
        self.endpoint_usage = EndpointUsage(jobs.db, jobs.clock, self.serving / "usage")
        self.calls = EndpointCalls(self.endpoints, self)
        self.answer: Inferred | NacreError = Unavailable(
            "the model server does not answer: no test said how"
        )
        self.lately: ServedHistory | None = None
        self.asked: list[tuple[str, str, bytes]] = []
        self.batches = BatchPredictions(
            jobs.db,
            jobs.clock,
            jobs.signals,
            jobs.ledger,
            jobs.datasets,
            jobs.jobs,
            jobs.environments,
            jobs.events,
        )
        self.drifts = Drifts(
            jobs.db,
            jobs.clock,
            jobs.signals,
            jobs.ledger,
            jobs.datasets,
            jobs.jobs,
            jobs.environments,
            jobs.events,
        )
        self.loop = ModelLoop(self.conversions, self.evaluations, self.batches, self.drifts)

    def observe(self) -> ServingStatus | None:
        """What endpoints are told of the model server."""
        return self.told

    def infer(self, project: str, name: str, body: bytes, timeout_s: float) -> Inferred:
        """In place of the model server: ``answer``, raised if it is an error."""
        self.asked.append((project, name, body))
        if isinstance(self.answer, NacreError):
            raise self.answer
        return self.answer

    def history(self, project: str, name: str, revision: int | None = None) -> ServedHistory | None:
        """In place of the model server: ``lately``."""
        return self.lately

    def send(self, caller: Caller, files: Mapping[str, bytes]) -> str:
        """Send files as a client does; their manifest's digest."""
        entries = []
        for path, data in files.items():
            digest = str(blake3(data).hexdigest())
            self.jobs.ledger.put(caller, digest, io.BytesIO(data))
            entries.append(FileEntry(path=path, size=len(data), digest=digest))
        return self.jobs.ledger.write_manifest(caller.project_id, Manifest(files=entries))

    def dataset(self, caller: Caller, name: str, files: Mapping[str, bytes]) -> DatasetVersion:
        """A dataset's next version."""
        request = VersionCreate(manifest=self.send(caller, files))
        return self.jobs.datasets.create(caller, name, request)

    def finish(self, caller: Caller, job: str, files: Mapping[str, bytes], **end: Any) -> None:
        """Let a queued job run, leave these files, and end."""
        self.jobs.build_environments()
        self.jobs.queue.advance()
        attempt = self.jobs.attempt(self.jobs.jobs.get(caller, job))
        if files:
            sent = self.send(caller, files)
            self.jobs.report(attempt.id, {"type": "artifacts", "manifest": sent})
        self.jobs.exit(attempt.id, **end)
        self.jobs.loop.run_once()

    def trained(self, caller: Caller, files: Mapping[str, bytes], **fields: object) -> Job:
        """A job that succeeded and left these files."""
        job = self.jobs.submit(caller, **fields)  # type: ignore[arg-type]
        self.finish(caller, job.id, files)
        return self.jobs.jobs.get(caller, job.id)

    def register(self, caller: Caller, name: str = "digits", **fields: object) -> ModelVersion:
        """A version from a run that left ``model.pt``, unless ``fields`` say otherwise."""
        if not {"run", "manifest"} & fields.keys():
            fields["run"] = self.trained(caller, {"model.pt": b"weights"}).name
        return self.models.register(caller, name, ModelRegister.model_validate(fields))

    def convert(
        self,
        caller: Caller,
        version: ModelVersion,
        onnx: bytes = b"onnx",
        signature: Mapping[str, Any] = SIGNATURE,
    ) -> ModelVersion:
        """Let the conversion of a version succeed."""
        report = json.dumps({"signature": signature}).encode()
        assert version.conversion_job is not None
        self.finish(caller, version.conversion_job, {"model.onnx": onnx, "conversion.json": report})
        self.loop.run_once()
        return self.models.get_version(caller, version.model, str(version.number))

    def ready(
        self,
        caller: Caller,
        name: str = "digits",
        onnx: bytes = b"onnx",
        signature: Mapping[str, Any] = SIGNATURE,
    ) -> ModelVersion:
        """A converted version."""
        return self.convert(caller, self.register(caller, name), onnx, signature)

    def deploy(self, caller: Caller, name: str = "ask", **fields: object) -> Endpoint:
        """Serve the latest ``digits``, unless ``fields`` say otherwise."""
        request = EndpointDeploy.model_validate({"model": "digits", **fields})
        return self.endpoints.deploy(caller, name, request)

    def serve(self, *broken: int, failing: str | None = None) -> Routes:
        """Have a model server apply the routes until nothing changes any more: it loads all revisions, or
        fails with a sentence to load them, or those that are named. The routes in the end."""
        for _ in range(8):
            routes = self.endpoints.settling.wanted_routes()
            states = {
                key: ServedState(
                    revisions=[
                        ServedRevisionState(revision=one.revision, state="failed", message=failing)
                        if failing is not None and one.revision in (broken or (one.revision,))
                        else ServedRevisionState(revision=one.revision, state="ready")
                        for one in wanted.revisions
                    ]
                )
                for key, wanted in routes.endpoints.items()
            }
            self.told = ServingStatus(generation=1, pid=1, endpoints=states)
            self.endpoints.settling.settle(routes, self.told)
            if self.endpoints.settling.wanted_routes() == routes:
                break
        return routes


def app_of(world: ModelsWorld, people: People) -> FastAPI:
    """The application over a world's services; tokens are people's names."""
    table, jobs = Table(people), world.jobs
    known: dict[str, Any] = dict.fromkeys(f.name for f in fields(Services))
    known |= {
        "tokens": table,
        "projects": table,
        "signals": jobs.signals,
        "blobs": jobs.ledger,
        "datasets": jobs.datasets,
        "runs": jobs.runs,
        "jobs": jobs.jobs,
        "models": world.models,
        "model_exports": ModelExports(world.models, jobs.ledger),
        "evaluations": world.evaluations,
        "batches": world.batches,
        "drifts": world.drifts,
        "endpoints": world.endpoints,
        "endpoint_calls": world.calls,
        "endpoint_usage": world.endpoint_usage,
    }
    return make_app(Services(**cast("dict[str, Any]", known)), "0")


def world(database: Database, clock: FixedClock, folder: Path) -> ModelsWorld:
    """On an empty database with people in it."""
    engine = FakeEngine([NodeFacts("local", 64.0, 256 * GIB)])
    return ModelsWorld(JobsWorld(database, clock, folder, engine))
