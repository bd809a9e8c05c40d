"""``client.secrets``."""

from __future__ import annotations

import builtins
from typing import Literal

from nacre.schema.projects import Secret
from nacre.sdk.resources.base import Noun


class Secrets(Noun):
    """What jobs and instances need to know and nobody may read again."""

    def set(
        self,
        name: str,
        value: str,
        *,
        kind: Literal["variable", "file"] = "variable",
        project: str | None = None,
    ) -> Secret:
        """Keep a secret, or replace it: as the variable ``name``, or as the file ``/run/secrets/name``."""
        body = {"value": value, "kind": kind}
        found: Secret = self._transport.call(
            "secrets.set", Secret, json=body, project=self._in(project), secret=name
        )
        return found

    def list(self, *, limit: int | None = None, project: str | None = None) -> builtins.list[Secret]:
        """Names and kinds; never values."""
        return self._all("secrets.list", Secret, limit=limit, project=self._in(project))

    def delete(self, name: str, *, project: str | None = None) -> None:
        """Delete a secret; what runs already keeps it."""
        self._transport.call("secrets.delete", None, project=self._in(project), secret=name)
