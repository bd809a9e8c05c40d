"""``client.instance_types``: named shapes with prices."""

from __future__ import annotations

import builtins

from nacre.schema.resources import InstanceType
from nacre.sdk.resources.base import Noun


class InstanceTypes(Noun):
    """What can be asked for by name."""

    def list(self) -> builtins.list[InstanceType]:
        """Every type, with its price per hour and whether a machine could hold it."""
        return self._all("instance_types.list", InstanceType)
