"""``client.nodes``: the machines."""

from __future__ import annotations

import builtins

from nacre.schema.resources import Node
from nacre.sdk.resources.base import Noun


class Nodes(Noun):
    """Machines, what they have and what is taken."""

    def list(self) -> builtins.list[Node]:
        """Every machine."""
        return self._all("nodes.list", Node)
