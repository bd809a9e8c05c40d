"""``client.endpoints``: deploy, and ask."""

from __future__ import annotations

import builtins
import time
from typing import Any
from urllib.parse import quote

import httpx

from nacre.errors import InvalidSpec, RequestError, Unavailable
from nacre.schema.endpoints import Endpoint, EndpointDeploy, EndpointState, EndpointStats, Prediction
from nacre.sdk.resources.base import Noun


class Endpoints(Noun):
    """URLs that serve model versions."""

    def deploy(self, endpoint: str, request: EndpointDeploy, *, project: str | None = None) -> Endpoint:
        """Serve a model version; an endpoint that exists swaps without a failed request."""
        found: Endpoint = self._transport.call(
            "endpoints.deploy",
            Endpoint,
            json=request.model_dump(),
            repeatable=False,
            endpoint=endpoint,
            project=self._in(project),
        )
        return found

    def list(self, *, limit: int | None = None, project: str | None = None) -> builtins.list[Endpoint]:
        """The project's endpoints, newest first."""
        return self._all("endpoints.list", Endpoint, limit=limit, project=self._in(project))

    def get(
        self, endpoint: str, *, wait_s: float = 0, unless: str | None = None, project: str | None = None
    ) -> Endpoint:
        """One endpoint; waits up to ``wait_s`` while its state is ``unless``."""
        found: Endpoint = self._transport.call(
            "endpoints.get",
            Endpoint,
            query={"wait_s": wait_s, "unless": unless},
            timeout_s=wait_s + 30,
            endpoint=endpoint,
            project=self._in(project),
        )
        return found

    def wait(self, endpoint: str, *, timeout_s: float = 300, project: str | None = None) -> Endpoint:
        """The endpoint once its newest revision answers, or has failed.

        Raises:
            Unavailable: neither happened in time.
        """
        deadline = time.monotonic() + timeout_s
        unless: str | None = None
        said = ""
        while (left := deadline - time.monotonic()) > 0:
            found = self.get(endpoint, wait_s=min(10, left), unless=unless, project=project)
            if found.state in (EndpointState.READY, EndpointState.FAILED):
                return found
            unless, said = found.state, f" ({found.message})" if found.message else ""
        raise Unavailable(
            f"endpoint {endpoint} was not ready within {timeout_s:.0f} s{said}: "
            f"see 'nacre endpoint show {endpoint}'"
        )

    def delete(self, endpoint: str, *, project: str | None = None) -> None:
        """Stop serving; requests in flight finish."""
        self._transport.call("endpoints.delete", None, endpoint=endpoint, project=self._in(project))

    def stats(self, endpoint: str, *, project: str | None = None) -> EndpointStats:
        """What it answered in the last half hour: rates, errors, latencies."""
        found: EndpointStats = self._transport.call(
            "endpoints.stats", EndpointStats, endpoint=endpoint, project=self._in(project)
        )
        return found

    def predict(
        self, endpoint: str, inputs: builtins.list[dict[str, Any]], *, project: str | None = None
    ) -> Prediction:
        """Ask an endpoint through the server, for a try; for traffic there is :meth:`infer`.

        ``inputs``: tensors of the Open Inference Protocol v2, ``{"name", "shape", "datatype", "data"}``.

        Raises:
            InvalidSpec: they do not fit the model, or are no JSON (NaN, infinity).
            Conflict: the endpoint serves nothing.
            Unavailable: it is still starting, or does not answer.
        """
        try:
            found: Prediction = self._transport.call(
                "endpoints.predict",
                Prediction,
                json={"inputs": inputs},
                repeatable=True,
                endpoint=endpoint,
                project=self._in(project),
            )
        except ValueError as error:
            raise InvalidSpec(f"the request cannot be written as JSON: {error}") from error
        return found

    def infer(self, endpoint: Endpoint, body: dict[str, Any], *, timeout_s: float = 60) -> dict[str, Any]:
        """Ask an endpoint with an Open Inference Protocol v2 request, straight at its own URL.

        Raises:
            InvalidSpec: the request is no JSON (NaN, infinity).
            RequestError: the endpoint refused the request; the sentence is its own.
            Unavailable: it does not answer.
        """
        url = f"{endpoint.url}/v2/models/{quote(endpoint.model, safe='')}/infer"
        headers = {"Authorization": f"Bearer {self._transport.token}"}
        try:
            answer = httpx.post(url, json=body, headers=headers, timeout=timeout_s)
        except ValueError as error:
            raise InvalidSpec(f"the request cannot be written as JSON: {error}") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"endpoint {endpoint.name} does not answer at {url}: {error}") from error
        if answer.status_code != 200:
            try:
                said = answer.json()["error"]
            except (ValueError, KeyError, TypeError):
                said = answer.text[:400]
            raise RequestError(f"endpoint {endpoint.name} answered {answer.status_code}: {said}")
        found: dict[str, Any] = answer.json()
        return found
