"""``client.endpoints``: deploy, and ask."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from nacre.errors import Conflict, InvalidSpec, NotFound, RequestError, Unavailable
from nacre.schema.endpoints import (
    Endpoint,
    EndpointDeploy,
    EndpointReplica,
    EndpointState,
    EndpointStats,
    EndpointUpdate,
    Prediction,
    RevisionChoice,
    TrafficSet,
)
from nacre.schema.serving import Signature
from nacre.sdk.resources.log_bytes import log_bytes
from nacre.sdk.resources.predictions import Predictions


class Endpoints(Predictions):
    """URLs that serve model versions."""

    def deploy(self, endpoint: str, request: EndpointDeploy, *, project: str | None = None) -> Endpoint:
        """Serve a model version; an endpoint that exists swaps without a failed request."""
        found: Endpoint = self._transport.call(
            "endpoints.deploy",
            Endpoint,
            json=request.model_dump(exclude_unset=True),
            repeatable=False,
            endpoint=endpoint,
            project=self._in(project),
        )
        return found

    def update(self, endpoint: str, request: EndpointUpdate, *, project: str | None = None) -> Endpoint:
        """Change how it scales and is called: the fields that the request was made with, and no others."""
        found: Endpoint = self._transport.call(
            "endpoints.update",
            Endpoint,
            json=request.model_dump(exclude_unset=True),
            endpoint=endpoint,
            project=self._in(project),
        )
        return found

    def set_traffic(
        self,
        endpoint: str,
        traffic: Mapping[int, int],
        *,
        shadow: Mapping[int, int] | None = None,
        project: str | None = None,
    ) -> Endpoint:
        """Share the requests: revision → percent, 100 together; those that are left out get none.

        ``shadow``: revision → percent of the requests that are copied to it.
        """
        request = TrafficSet(traffic=dict(traffic), shadow=dict(shadow or {}))
        found: Endpoint = self._transport.call(
            "endpoints.set_traffic",
            Endpoint,
            json=request.model_dump(),
            endpoint=endpoint,
            project=self._in(project),
        )
        return found

    def promote(
        self, endpoint: str, revision: int | None = None, *, project: str | None = None
    ) -> Endpoint:
        """Give a revision (the newest) all of the requests."""
        return self._choose("endpoints.promote", endpoint, revision, project)

    def rollback(
        self, endpoint: str, revision: int | None = None, *, project: str | None = None
    ) -> Endpoint:
        """Go one step back, or to a revision."""
        return self._choose("endpoints.rollback", endpoint, revision, project)

    def _choose(self, verb: str, endpoint: str, revision: int | None, project: str | None) -> Endpoint:
        found: Endpoint = self._transport.call(
            verb,
            Endpoint,
            json=RevisionChoice(revision=revision).model_dump(),
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

    def wait(
        self,
        endpoint: str,
        *,
        revision: int | None = None,
        timeout_s: float = 300,
        project: str | None = None,
        seen: Callable[[Endpoint], None] = lambda _: None,
    ) -> Endpoint:
        """The endpoint once what was asked for last is so: a deployment, a promotion, other shares.
        ``seen`` gets it as it is meanwhile, each few seconds.

        Args:
            revision: the one that must not have failed; else any that the last change asked for.

        Raises:
            Conflict: it has failed; the sentence says why, and which one answers in its place.
            Unavailable: nothing was settled in time.
        """
        deadline = time.monotonic() + timeout_s
        unless: str | None = None
        said = ""
        while (left := deadline - time.monotonic()) > 0:
            found = self.get(endpoint, wait_s=min(10, left), unless=unless, project=project)
            if found.state in (EndpointState.READY, EndpointState.FAILED):
                if why := _failure(found, revision):
                    raise Conflict(why)
                return found
            seen(found)
            unless, said = found.state, f" ({found.message})" if found.message else ""
        raise Unavailable(
            f"endpoint {endpoint} was not ready within {timeout_s:.0f} s{said}: "
            f"see 'nacre endpoint show {endpoint}'"
        )

    def delete(self, endpoint: str, *, project: str | None = None) -> None:
        """Stop serving; requests in flight finish."""
        self._transport.call("endpoints.delete", None, endpoint=endpoint, project=self._in(project))

    def stats(
        self, endpoint: str, *, revision: int | None = None, project: str | None = None
    ) -> EndpointStats:
        """What it, or one revision of it, answered in the last half hour: rates, errors, latencies."""
        found: EndpointStats = self._transport.call(
            "endpoints.stats",
            EndpointStats,
            query={"revision": revision},
            endpoint=endpoint,
            project=self._in(project),
        )
        return found

    def replicas(
        self, endpoint: str, *, limit: int | None = None, project: str | None = None
    ) -> builtins.list[EndpointReplica]:
        """Its replicas, newest first; those that ended are there for an hour."""
        return self._all(
            "endpoints.replicas", EndpointReplica, limit=limit, endpoint=endpoint, project=self._in(project)
        )

    def logs(
        self,
        endpoint: str,
        *,
        replica: str | None = None,
        revision: int | None = None,
        follow: bool = False,
        offset: int = 0,
        tail: int | None = None,
        project: str | None = None,
        seen: Callable[[str], None] = lambda _: None,
    ) -> Iterator[bytes]:
        """The bytes that a replica printed, as they come: that of the id ``replica``, else the newest, of
        ``revision`` where one is named. ``follow`` goes on until that one has ended, also while the server
        restarts; ``tail``: only the last lines of what is there. ``seen`` is told the replica's id.

        Raises:
            NotFound: there is no such replica, or none at all, as of ONNX models.
        """
        whose = replica

        def began(answer: httpx.Response) -> dict[str, str | None]:
            nonlocal whose
            if "nacre-replica" in answer.headers and answer.headers["nacre-replica"] != whose:
                whose = answer.headers["nacre-replica"]
                seen(whose)
            return {"replica": whose}

        def over() -> bool:
            try:
                found = self.replicas(endpoint, project=project)
            except NotFound:
                return True
            return all(one.id != whose or one.ended_at is not None for one in found)

        query = {
            "replica": replica,
            "revision": revision,
            "follow": follow or None,
            "offset": offset,
            "tail": tail,
        }
        where = {"endpoint": endpoint, "project": self._in(project)}
        return log_bytes(self._transport, "endpoints.logs", query, over, began, **where)

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
            raise _refused(endpoint, answer)
        found: dict[str, Any] = answer.json()
        return found

    def signature(self, endpoint: Endpoint, *, timeout_s: float = 60) -> Signature | None:
        """What an endpoint takes and gives, as itself tells; null of code that takes no tensors.

        Raises:
            RequestError: it refused to tell; the sentence is its own.
            Unavailable: it does not answer.
        """
        if endpoint.signature is not None:
            return endpoint.signature
        url = f"{endpoint.url}/v2/models/{quote(endpoint.model, safe='')}"
        headers = {"Authorization": f"Bearer {self._transport.token}"}
        try:
            answer = httpx.get(url, headers=headers, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise Unavailable(f"endpoint {endpoint.name} does not answer at {url}: {error}") from error
        if answer.status_code in (404, 503):  # 503: the replica that could tell has yet to be started
            return None
        if answer.status_code != 200:
            raise _refused(endpoint, answer)
        told = answer.json()
        return Signature.model_validate({"inputs": told["inputs"], "outputs": told["outputs"]})

    def ask_code(self, endpoint: Endpoint, content: Any, *, timeout_s: float = 60) -> Iterator[str]:
        """Send JSON to a model with code of its own; its answer, in the pieces in which it comes.

        Raises:
            InvalidSpec: the content is no JSON (NaN, infinity).
            RequestError: the endpoint refused the request; the sentence is its own.
            Unavailable: it does not answer, or stops in the middle.
        """
        url = f"{endpoint.url}/predict"
        headers = {"Authorization": f"Bearer {self._transport.token}"}
        try:
            with httpx.stream("POST", url, json=content, headers=headers, timeout=timeout_s) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise _refused(endpoint, answer)
                yield from answer.iter_text()
        except ValueError as error:
            raise InvalidSpec(f"the request cannot be written as JSON: {error}") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"endpoint {endpoint.name} does not answer at {url}: {error}") from error


def _failure(found: Endpoint, number: int | None) -> str | None:
    """What went wrong with a revision, or with what the last change asked for; null: nothing."""
    failed = [one for one in found.revisions if one.state == "failed"]
    if number is None:
        said = (found.message or found.reason or "it does not load").partition("\n")[0]
        if found.state == EndpointState.FAILED:
            return f"endpoint {found.name} has failed: {said}"
        lately = found.reason is not None and any(one.reason == found.reason for one in failed)
        return f"endpoint {found.name}: {said}" if lately else None
    mine = next((one for one in failed if one.number == number), None)
    if mine is None:
        return None
    said = (mine.message or mine.reason or "it does not load").partition("\n")[0]
    others = [str(one.number) for one in found.revisions if one.answering and one.state == "ready"]
    goes_on = f"; revision {' and '.join(others)} still answers" if others else "; nothing answers"
    log = f". See 'nacre endpoint logs {found.name} --revision {number}'" if mine.replicas else ""
    return f"revision {number} of endpoint {found.name} has failed: {said}{goes_on}{log}"


def _refused(endpoint: Endpoint, answer: httpx.Response) -> RequestError:
    try:
        said = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        said = answer.text[:400]
    return RequestError(f"endpoint {endpoint.name} answered {answer.status_code}: {said}")
