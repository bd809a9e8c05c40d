"""Why something waits for its environment, in the same words for jobs, instances and replicas."""

from __future__ import annotations

from nacre.domain.jobs import ENVIRONMENT_BUILDING, ENVIRONMENT_FAILED
from nacre.domain.scheduling import Waiting
from nacre.schema.environments import Environment, EnvironmentState


def environment_wait(found: Environment) -> Waiting | None:
    """Null when it is ready; ``environment_failed`` when it never will be."""
    if found.state is EnvironmentState.READY:
        return None
    if found.state is EnvironmentState.FAILED:
        said = found.message or "it could not be built: see 'nacre env logs'"
        return Waiting(ENVIRONMENT_FAILED, f"environment {found.name}: {said}")
    doing = "waiting to be built" if found.state is EnvironmentState.PENDING else found.state
    return Waiting(ENVIRONMENT_BUILDING, f"waits for the environment {found.name}: {doing}")
