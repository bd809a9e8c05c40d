"""``routes.json``, read whole."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from nacre.errors import InvalidSpec
from nacre.schema.serving import Routes


def read_routes(path: Path) -> Routes:
    """The routes; empty ones when there is no file.

    Raises ``InvalidSpec`` when the file is not what ``nacre.schema.serving.Routes`` says.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Routes(generation=0, endpoints={})
    try:
        return Routes.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidSpec(f"{path} is not valid: {where or 'the file'}: {first['msg']}") from error
