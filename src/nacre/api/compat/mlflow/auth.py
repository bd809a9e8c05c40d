"""Who calls, and in which project: MLflow's tokens, passwords and workspaces."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace

from nacre.domain.identity import Caller, check
from nacre.errors import Unauthenticated
from nacre.schema.access import Access, Operation
from nacre.services.registry import Services

_IN_PROJECT = frozenset({Access.VIEWER, Access.EDITOR, Access.OWNER})
_MLFLOWS_DEFAULT = "default"


def secret_of(header: bytes | None) -> str | None:
    """The token of an ``Authorization`` header: a bearer's, or the password of basic authentication.

    The user's name beside such a password may be any.
    """
    if header is None:
        return None
    scheme, _, rest = header.decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        _, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return password or None


def authorise(
    services: Services, operation: Operation, secret: str | None, workspace: str | None, named: str | None
) -> Caller:
    """The caller, allowed to call ``operation``, in the project of the call.

    That is ``named`` (of the path), else the workspace of the header, else the token's own, else the
    caller's home project. MLflow's workspace ``default`` is the home project of whoever is no member of a
    project of that name.

    Raises:
        NacreError: as :func:`nacre.domain.identity.check`.
    """
    caller = services.tokens.resolve(secret) if secret else None
    if caller is None:
        raise Unauthenticated(
            "this needs a token: set MLFLOW_TRACKING_TOKEN to one that 'nacre token create' made"
        )
    if operation.access in _IN_PROJECT:
        caller = _enter(services, caller, named or workspace)
    check(operation, caller)
    return caller


def _enter(services: Services, caller: Caller, wanted: str | None) -> Caller:
    if wanted:
        entered = services.projects.enter(caller, wanted)
        known = entered.project is not None and entered.project.role is not None
        if known or wanted != _MLFLOWS_DEFAULT:
            return entered
    if caller.project is not None:
        return caller
    return replace(caller, project=services.projects.home(caller))
