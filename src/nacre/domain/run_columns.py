"""Which keys of runs somebody wants to see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate

from nacre.errors import InvalidSpec

_MAGIC = re.compile(r"[*?\[]")
_QUOTES = ('"', "'", "`")
KINDS = ("params", "metrics", "tags")
SYSTEM = "system/"
"""What names of metrics begin with that say what the machine did, not the program."""


@dataclass(frozen=True)
class Keys:
    """Names and patterns of keys; without any, every key."""

    wanted: tuple[str, ...] | None = None

    @property
    def none(self) -> bool:
        """Whether nothing is wanted at all."""
        return self.wanted == ()

    @property
    def names(self) -> list[str] | None:
        """What a database can be asked for; null when it has to be asked for all."""
        if self.wanted is None or any(_MAGIC.search(word) for word in self.wanted):
            return None
        return list(self.wanted)

    def pick(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that are wanted."""
        if self.wanted is None:
            return list(keys)
        exact = set(self.wanted)
        patterns = [re.compile(translate(word)) for word in self.wanted if _MAGIC.search(word)]
        return [key for key in keys if key in exact or any(p.match(key) for p in patterns)]


@dataclass(frozen=True)
class Columns:
    """The wanted keys of each kind."""

    params: Keys = Keys()
    metrics: Keys = Keys()
    tags: Keys = Keys()


def parse_columns(words: Sequence[str] | None) -> Columns:
    """``params.lr``, ``metrics."val loss"``, ``tags.*`` as columns; null: everything.

    Raises:
        InvalidSpec: a word has another beginning.
    """
    if words is None:
        return Columns()
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for word in words:
        kind, _, name = word.partition(".")
        if kind in ("attributes", "attribute"):
            continue  # those are always there
        kind = kind if kind in KINDS else f"{kind}s"
        if kind not in KINDS or not name:
            raise InvalidSpec(
                f"{word!r} is no column: write params.NAME, metrics.NAME or tags.NAME",
                fields=[{"field": "columns", "message": f"{word!r} is no column"}],
            )
        if len(name) > 1 and name[0] == name[-1] and name[0] in _QUOTES:
            name = name[1:-1]
        found[kind].append(name)
    return Columns(**{kind: Keys(tuple(names)) for kind, names in found.items()})
