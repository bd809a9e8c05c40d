from __future__ import annotations

from collections.abc import Iterator

import pytest

from nacre.cli.app import Options, options


@pytest.fixture(autouse=True)
def options_of_their_own() -> Iterator[None]:
    """What one test's command was given before its name is forgotten for the next."""
    yield
    vars(options).update(vars(Options()))
